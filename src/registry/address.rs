//! Which addresses registries may have.

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use thiserror::Error;

/// The error for a host with an address that is not public.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{host} has the address {address}, which is not public")]
pub(super) struct PrivateAddress {
    pub(super) host: String,
    pub(super) address: IpAddr,
}

/// Resolves names to public addresses only. It is the resolver of the client: no other address of the name is connected to.
#[derive(Debug)]
pub(super) struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let addresses: Vec<_> = tokio::net::lookup_host((&*host, 0)).await?.collect();
            if let Some(private) = addresses.iter().find(|address| !is_public(address.ip())) {
                return Err(PrivateAddress { host, address: private.ip() }.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Checks the address in a URL, if its host is one: clients do not resolve it.
pub(super) fn check_literal(url: &Url) -> Result<(), PrivateAddress> {
    let host = url.host_str().unwrap_or_default();
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) if !is_public(address) => Err(PrivateAddress { host: host.into(), address }),
        _ => Ok(()),
    }
}

/// Returns the private address that a request failed for.
pub(super) fn private_address(error: &reqwest::Error) -> Option<PrivateAddress> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source()).find_map(|error| error.downcast_ref().cloned())
}

/// Returns true for an address of a server in the public network, by the registries of special-purpose addresses (RFC 6890).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    // This network, shared addresses of providers, protocol assignments, 6to4 relays, benchmarks, and reserved addresses.
    let is_special =
        matches!((a, b, c), (0 | 240.., _, _) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _));
    !(is_special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    match address.segments() {
        // NAT64: the last part is the address that is connected to.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        // Protocol assignments and tunnels (Teredo, ORCHID), documentation, and 6to4, which contains an address of IPv4.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn special_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
        ] {
            assert!(!is_public(address(text)), "{text}");
        }
        for text in ["1.1.1.1", "140.82.112.33", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::1.1.1.1"] {
            assert!(is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn addresses_in_urls_are_checked_in_any_form() {
        for text in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "https://[::1]:5000/",
            "https://[::ffff:10.0.0.1]/",
        ] {
            assert!(check_literal(&text.parse().unwrap()).is_err(), "{text}");
        }
        assert_eq!(check_literal(&"https://1.1.1.1/".parse().unwrap()), Ok(()));
        assert_eq!(check_literal(&"https://ghcr.io/".parse().unwrap()), Ok(()));
    }

    #[tokio::test]
    async fn names_of_private_addresses_are_not_resolved() {
        let error = PublicResolver.resolve("localhost".parse().unwrap()).await.err().unwrap();
        let error = error.downcast_ref::<PrivateAddress>().unwrap();
        assert!(error.host == "localhost" && error.address.is_loopback());
    }

    proptest! {
        /// An address of IPv4 is judged equally in each form in which IPv6 can contain it.
        #[test]
        fn an_address_has_the_same_answer_in_every_form(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let [a, b, c, d] = v4.octets();
            let nat64 = format!("64:ff9b::{a}.{b}.{c}.{d}").parse::<Ipv6Addr>().unwrap();
            prop_assert_eq!(is_public(v4.into()), is_public(v4.to_ipv6_mapped().into()));
            prop_assert_eq!(is_public(v4.into()), is_public(nat64.into()));
        }
    }
}
