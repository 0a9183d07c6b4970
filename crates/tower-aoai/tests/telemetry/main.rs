//! What is told of calls and attempts, by hand-made stacks over the simulator.

mod contract;
mod endings;
mod support;
