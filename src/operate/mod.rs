//! Tasks of operators: backups, diagnosis and health checks.

pub mod backup;
mod backup_error;
mod backup_file;
pub mod backup_stream;
pub mod doctor;
pub mod health;
