//! What goes wrong and what a person then sees: bad input, missing secrets, systems that are down, objects deleted while in use. Each test has a
//! namespace and vendor accounts of its own, so that all run side by side on one cluster.

mod bad_input;
mod drift;
mod health;
mod letters;
mod lifecycle;
mod secrets;
mod systems;
mod tampering;
