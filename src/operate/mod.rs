//! What operators do with a whole store and a whole service, besides running it.

pub mod backup;
mod backup_error;
mod backup_file;
pub mod doctor;
pub mod health;
