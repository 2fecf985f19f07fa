//! Creates products.

use crate::{
    domain::{
        epoch::Epoch,
        ids::{ProductName, ProtocolName},
    },
    manage::{
        command::{ProductCommand, ProductState},
        refusal::Refusal,
        request::Action,
    },
};

/// Creates a product, or changes the protocol of a product that has no streams yet.
#[derive(Debug, Clone)]
pub struct SetProduct {
    /// The product.
    pub product: ProductName,
    /// The protocol that its nodes speak.
    pub protocol: ProtocolName,
}

impl ProductCommand for SetProduct {
    fn action(&self) -> Action {
        Action::SET_PRODUCT
    }

    fn product(&self) -> &ProductName {
        &self.product
    }

    fn subject(&self) -> Option<String> {
        Some(format!("protocol/{}", self.protocol))
    }

    fn can_create(&self) -> bool {
        true
    }

    fn apply(&self, present: &ProductState, _: Epoch) -> Result<ProductState, Refusal> {
        match &present.protocol {
            Some(protocol) if *protocol != self.protocol && present.has_streams => Err(Refusal::State(format!(
                "{} has streams, and its nodes speak `{protocol}`: the protocol of a product with streams cannot be changed",
                self.product
            ))),
            _ => Ok(ProductState { protocol: Some(self.protocol.clone()), ..present.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manage::testing::{NOW, id};

    fn protocol(name: &str) -> ProtocolName {
        ProtocolName::parse(name).unwrap()
    }

    fn speaking(name: &str, has_streams: bool) -> ProductState {
        ProductState { protocol: Some(protocol(name)), has_streams, ..ProductState::default() }
    }

    #[test]
    fn a_product_gets_its_protocol_until_it_has_streams() {
        let command = SetProduct { product: id().product, protocol: protocol("b") };
        assert_eq!(command.apply(&ProductState::default(), NOW), Ok(speaking("b", false)));
        assert_eq!(command.apply(&speaking("a", false), NOW), Ok(speaking("b", false)));
        assert_eq!(command.apply(&speaking("b", true), NOW), Ok(speaking("b", true)));
        let refused = command.apply(&speaking("a", true), NOW).unwrap_err().to_string();
        assert!(refused.contains("os has streams, and its nodes speak `a`"), "{refused}");
        assert!(command.can_create() && command.in_stream(&id()).is_none());
        assert_eq!((command.action(), command.product()), (Action::SET_PRODUCT, &id().product));
    }
}
