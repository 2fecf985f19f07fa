//! Values that several states share, and that are copied when one of them is changed.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// A value that is shared until it is changed: a clone costs nothing, and a mutable borrow copies a value that is shared.
#[derive(Debug, Clone)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// Returns true if both are the same copy. Different copies may still be equal.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Shared<T> {
    /// Returns true if there are clones of it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl<T: PartialEq> Shared<T> {
    /// Drops this copy and shares the other one, if both are equal.
    pub fn share(&mut self, other: &Self) {
        if !self.is_same(other) && self.0 == other.0 {
            self.0 = other.0.clone();
        }
    }
}

impl<T: Clone> Shared<T> {
    /// Returns the value.
    #[must_use]
    pub fn into_inner(self) -> T {
        Arc::unwrap_or_clone(self.0)
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_copies_a_value_that_is_shared_and_only_that() {
        let first = Shared::from(vec![1]);
        let mut second = first.clone();
        assert!(first.is_same(&second));
        second.push(2);
        assert_eq!((&*first, &*second), (&vec![1], &vec![1, 2]));
        let before = second.as_ptr();
        second[0] = 3;
        assert_eq!(second.as_ptr(), before, "a value of one owner is changed in place");
        assert_eq!(Shared::from(1), Shared::from(1));
        assert_ne!(first, second);
        assert_eq!(second.into_inner(), [3, 2]);
    }
}
