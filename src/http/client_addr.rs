//! The address of a client, also behind trusted proxies.

use http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Returns the client's address: that of the connection or, if that is a trusted proxy, the last address in `X-Forwarded-For`
/// that is not a trusted proxy. Earlier addresses in the header are not trustworthy: the client may have written them.
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    // An unreadable line ends the search: the source of earlier lines is unknown.
    let lines = headers.get_all(FORWARDED_FOR).iter().rev().map_while(|value| value.to_str().ok());
    for forwarded in lines.flat_map(|value| value.rsplit(',')) {
        if !is_within(trusted, client) {
            break;
        }
        let Some(next) = parse_address(forwarded.trim()) else { break };
        client = next.to_canonical();
    }
    client
}

/// The address of a request's client, among the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Returns the address as which a client is counted. IPv6 clients count by their /64 network, because each can use any address in
/// it. IPv4 clients of a dual-stack socket count as IPv4 addresses.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

/// Returns true if an address is within one of these networks.
#[must_use]
pub fn is_within(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Parses an address. Some proxies add the port.
fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        for (address, counted) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
            ("2001:db8:1:3::", "2001:db8:1:3::"),
        ] {
            assert_eq!(network(address.parse().unwrap()), counted.parse::<IpAddr>().unwrap(), "{address}");
        }
        let networks = ["10.0.0.0/8".parse().unwrap()];
        assert!(is_within(&networks, "::ffff:10.1.2.3".parse().unwrap()));
        assert!(!is_within(&networks, "192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn forwarded_addresses_count_only_from_trusted_proxies() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, forwarded, client) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.9.9.9"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9, nonsense, 10.2.2.2"], "10.2.2.2"),
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.7", "\u{ff}"], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("fd00::1", &["10.3.3.3"], "10.3.3.3"),
        ] {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append(FORWARDED_FOR, http::HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            assert_eq!(
                client_address(peer.parse().unwrap(), &headers, &trusted).to_string(),
                client,
                "{peer} {forwarded:?}"
            );
        }
    }
}
