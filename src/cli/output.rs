//! What commands say on standard output. Who stops listening (`| head`) does not stop them.

use std::{fmt::Display, io::Write};

/// Says a line.
pub(super) fn say(line: impl Display) {
    // A reader that went away has heard enough.
    let _ = writeln!(std::io::stdout(), "{line}");
}
