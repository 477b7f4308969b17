"""Mirror tuning: two views of each string, the loss, the steps, and the process they run in."""
