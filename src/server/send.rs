//! Answers on their way: as long as the client takes some of it now and then.

use bytes::Buf;
use std::{fs::File, io, time::Duration};
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::TcpStream,
};

/// Sends all of it.
pub(super) async fn send(stream: &mut TcpStream, bytes: &mut impl Buf, patience: Duration) -> io::Result<()> {
    while bytes.has_remaining() {
        if tokio::time::timeout(patience, stream.write_buf(bytes)).await?? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

/// Sends a head, and then so many bytes of a file, which the kernel takes as they are.
#[cfg(target_os = "linux")]
pub(super) async fn send_file(
    stream: &TcpStream,
    mut head: &[u8],
    file: &File,
    length: usize,
    patience: Duration,
) -> io::Result<()> {
    use rustix::{fs::sendfile, net::SendFlags};
    // What follows goes into the same packets.
    let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
    while !head.is_empty() {
        let sent = taken(stream, patience, || Ok(rustix::net::send(stream, head, flags)?)).await?;
        head = head.get(sent..).unwrap_or_default();
    }
    let (mut offset, length) = (0, u64::try_from(length).unwrap_or(u64::MAX));
    while offset < length {
        let left = usize::try_from(length - offset).unwrap_or(usize::MAX);
        taken(stream, patience, || Ok(sendfile(stream, file, Some(&mut offset), left)?)).await?;
    }
    Ok(())
}

/// No such thing here: no answer has a file.
#[cfg(not(target_os = "linux"))]
pub(super) async fn send_file(_: &TcpStream, _: &[u8], _: &File, _: usize, _: Duration) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How much the client takes, if it takes any within this time.
#[cfg(target_os = "linux")]
async fn taken(
    stream: &TcpStream,
    patience: Duration,
    mut give: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match stream.try_io(Interest::WRITABLE, &mut give) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::timeout(patience, stream.writable()).await??;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            taken => return taken,
        }
    }
}
