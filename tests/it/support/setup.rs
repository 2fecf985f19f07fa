//! A service with its database.

use super::{
    manager::{Desk, Manager, document},
    postgres::Database,
    server::Server,
    time::{HOUR, NOW},
};

/// A service and its database.
pub(crate) struct Setup {
    pub(crate) server: Server,
    pub(crate) database: Database,
}

impl Setup {
    pub(crate) async fn new() -> Self {
        let database = Database::new().await;
        Self { server: Server::start(&database).await, database }
    }

    pub(crate) fn desk(&self) -> Desk<'_> {
        Desk::new(&self.server, &self.database)
    }

    /// Returns an administrator of a stream that has something of every kind.
    pub(crate) async fn admin(&self) -> Manager<'_> {
        let admin = self.desk().manager("admin", "*").await;
        admin.creates_stream(&document("os", "stable")).await;
        admin
    }

    /// Sets the clock of the service to so many hours after `NOW`.
    pub(crate) fn hours(&self, hours: i64) {
        self.server.at(NOW + hours * HOUR);
    }
}
