//! Descriptions in requests.

use crate::domain::{description::Description, text::TextError};

/// A description as it is requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewDescription {
    /// It stays as it is.
    Unchanged,
    /// It is removed.
    None,
    /// It is this text.
    Text(Description),
}

impl NewDescription {
    /// Parses a description: without a text it stays, and the empty text removes it.
    ///
    /// # Errors
    /// The text is not a description.
    pub fn parse(text: Option<&str>) -> Result<Self, TextError> {
        match text {
            None => Ok(Self::Unchanged),
            Some("") => Ok(Self::None),
            Some(text) => Ok(Self::Text(Description::parse(text)?)),
        }
    }

    /// Returns the description that follows the present one.
    pub(super) fn after(&self, present: Option<&Description>) -> Option<Description> {
        match self {
            Self::Unchanged => present.cloned(),
            Self::None => None,
            Self::Text(text) => Some(text.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_stays_until_another_one_or_none_is_set() {
        let [old, new] = ["old", "new"].map(|text| Description::parse(text).unwrap());
        for present in [None, Some(&old)] {
            assert_eq!(NewDescription::parse(None).unwrap().after(present), present.cloned());
            assert_eq!(NewDescription::parse(Some("")).unwrap().after(present), None);
            assert_eq!(NewDescription::parse(Some("new")).unwrap().after(present), Some(new.clone()));
        }
        assert!(NewDescription::parse(Some(" ")).is_err());
    }
}
