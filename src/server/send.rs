//! Sends answers, as long as the client accepts some bytes within the timeout.

use bytes::Buf;
use std::{
    fs::File,
    io::{self, IoSlice},
    time::Duration,
};
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::TcpStream,
};

/// Sends a head and a body. Usually the socket has room for both.
pub(super) async fn send_answer(
    stream: &mut TcpStream,
    head: &[u8],
    body: &[u8],
    io_timeout: Duration,
) -> io::Result<()> {
    let sent = if body.is_empty() {
        stream.try_write(head)
    } else {
        stream.try_write_vectored(&[IoSlice::new(head), IoSlice::new(body)])
    };
    let mut rest = head.chain(body);
    match sent {
        Ok(sent) => rest.advance(sent),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    send(stream, &mut rest, io_timeout).await
}

/// Sends all bytes.
pub(super) async fn send(stream: &mut TcpStream, bytes: &mut impl Buf, io_timeout: Duration) -> io::Result<()> {
    while bytes.has_remaining() {
        if tokio::time::timeout(io_timeout, stream.write_buf(bytes)).await?? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

/// Sends a head and then the first `length` bytes of a file, which the kernel copies to the socket.
#[cfg(target_os = "linux")]
pub(super) async fn send_file(
    stream: &TcpStream,
    mut head: &[u8],
    file: &File,
    length: usize,
    io_timeout: Duration,
) -> io::Result<()> {
    use rustix::{fs::sendfile, net::SendFlags};
    // Lets the kernel send the head and the file in the same packets.
    let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
    while !head.is_empty() {
        let sent = send_some(stream, io_timeout, || Ok(rustix::net::send(stream, head, flags)?)).await?;
        head = head.get(sent..).unwrap_or_default();
    }
    let (mut offset, length) = (0, u64::try_from(length).unwrap_or(u64::MAX));
    while offset < length {
        let remaining = usize::try_from(length - offset).unwrap_or(usize::MAX);
        send_some(stream, io_timeout, || Ok(sendfile(stream, file, Some(&mut offset), remaining)?)).await?;
    }
    Ok(())
}

/// Never called: on this system no answer has a file.
#[cfg(not(target_os = "linux"))]
pub(super) async fn send_file(_: &TcpStream, _: &[u8], _: &File, _: usize, _: Duration) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Calls `write` once the socket accepts data. Returns the number of bytes sent, or an error if the client accepts none in time.
#[cfg(target_os = "linux")]
async fn send_some(
    stream: &TcpStream,
    io_timeout: Duration,
    mut write: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match stream.try_io(Interest::WRITABLE, &mut write) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::timeout(io_timeout, stream.writable()).await??;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
