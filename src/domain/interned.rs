//! Texts that occur very often, such as the names of arches: equal ones share their memory.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

/// The maximum number of shared texts. Further ones are not shared until others are no longer used.
const MAX_TEXTS: usize = 256;

type Texts = HashMap<Box<str>, Arc<Box<str>>>;

static TEXTS: LazyLock<RwLock<Texts>> = LazyLock::new(RwLock::default);

/// Returns a text that shares its memory with equal texts, if there is room for it.
pub(super) fn interned(text: &str) -> Arc<Box<str>> {
    if let Some(known) = TEXTS.read().unwrap_or_else(PoisonError::into_inner).get(text) {
        return known.clone();
    }
    let mut texts = TEXTS.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = texts.get(text) {
        return known.clone();
    }
    let new: Arc<Box<str>> = Arc::new(text.into());
    if texts.len() >= MAX_TEXTS {
        texts.retain(|_, text| Arc::strong_count(text) > 1);
    }
    if texts.len() < MAX_TEXTS {
        texts.insert(text.into(), new.clone());
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_their_memory_and_their_number_is_bounded() {
        let arch = interned("arch-of-this-test");
        assert!(Arc::ptr_eq(&arch, &interned("arch-of-this-test")));
        let many: Vec<Arc<Box<str>>> =
            (0..2 * MAX_TEXTS).map(|n| interned(&format!("arch-of-this-test-{n}"))).collect();
        assert!(many.iter().enumerate().all(|(n, text)| ***text == *format!("arch-of-this-test-{n}")));
        assert!(TEXTS.read().unwrap().len() <= MAX_TEXTS);
        assert!(Arc::ptr_eq(&arch, &interned("arch-of-this-test")), "texts in use stay shared");
        drop(many);
        let next = interned("next-arch-of-this-test");
        assert!(Arc::ptr_eq(&next, &interned("next-arch-of-this-test")), "unused texts make room");
    }
}
