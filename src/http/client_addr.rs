//! Whose request it is, behind proxies.

use http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address: that of the connection, or, where that is a trusted proxy's, the last one in `X-Forwarded-For` that is no
/// trusted proxy's. What stands before it anybody may have written.
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    // A line that cannot be read is an end as well: nobody knows who wrote what stands before it.
    let lines = headers.get_all(FORWARDED_FOR).iter().rev().map_while(|value| value.to_str().ok());
    for told in lines.flat_map(|value| value.rsplit(',')) {
        if !is_trusted(&client) {
            break;
        }
        let Some(next) = address(told.trim()) else { break };
        client = next.to_canonical();
    }
    client
}

/// An address, which some proxies give with the port.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, told, client) in [
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
            for told in told {
                headers.append(FORWARDED_FOR, http::HeaderValue::from_bytes(told.as_bytes()).unwrap());
            }
            assert_eq!(
                client_address(peer.parse().unwrap(), &headers, &trusted).to_string(),
                client,
                "{peer} {told:?}"
            );
        }
    }
}
