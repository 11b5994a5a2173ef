//! Moves raw bytes over iroh with a chosen congestion controller and windows: what decided node/src/endpoint.rs.
//!
//!     quic serve IP:PORT CONTROLLER WINDOW_MIB            (prints its id)
//!     quic get ID IP:PORT CONTROLLER WINDOW_MIB MIB [STREAMS]   (prints MiB/s)
//!
//! CONTROLLER is cubic, bbr3, reno or choice (that of a node), and the sender's counts; the window is that of one stream, and the receiver's counts.

#[path = "../../../node/src/endpoint/congestion.rs"]
mod congestion;

use std::{env, net::SocketAddr, sync::Arc, time::Instant};

use anyhow::{Context, Result, bail};
use iroh::{
    Endpoint, EndpointAddr, RelayMode, TransportAddr,
    endpoint::{ControllerFactory, QuicTransportConfig, VarInt, presets},
};
use noq_proto::congestion::{Bbr3Config, CubicConfig, NewRenoConfig};

const ALPN: &[u8] = b"bytes";
const MIB: u64 = 1 << 20;

async fn bind(listen: SocketAddr, controller: &str, window: &str) -> Result<Endpoint> {
    let controller: Arc<dyn ControllerFactory + Send + Sync> = match controller {
        "cubic" => Arc::new(CubicConfig::default()),
        "bbr3" => Arc::new(Bbr3Config::default()),
        "choice" => Arc::new(congestion::ByRoundTrip),
        "reno" => Arc::new(NewRenoConfig::default()),
        other => bail!("no controller `{other}`"),
    };
    let mut transport = QuicTransportConfig::builder().congestion_controller_factory(controller);
    if window != "default" {
        let window: u64 = window.parse::<u64>()? * MIB;
        transport = transport.stream_receive_window(VarInt::from_u64(window)?).send_window(24 * MIB);
    }
    let builder =
        Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Disabled).transport_config(transport.build());
    Ok(builder.alpns(vec![ALPN.to_vec()]).clear_ip_transports().bind_addr(listen)?.bind().await?)
}

async fn serve(listen: &str, controller: &str, window: &str) -> Result<()> {
    let endpoint = bind(listen.parse()?, controller, window).await?;
    println!("{}", endpoint.id());
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(async move {
            let connection = incoming.await?;
            while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                tokio::spawn(async move {
                    let mut wanted = [0; 8];
                    receive.read_exact(&mut wanted).await?;
                    let chunk = vec![7; 64 << 10];
                    let mut left = u64::from_be_bytes(wanted);
                    while left > 0 {
                        let next = usize::try_from(left)?.min(chunk.len());
                        send.write_all(&chunk[..next]).await?;
                        left -= next as u64;
                    }
                    send.finish()?;
                    anyhow::Ok(())
                });
            }
            let path = connection.paths().iter().next().map(|path| format!("{:?}", path.stats()));
            eprintln!("{}", path.unwrap_or_default());
            anyhow::Ok(())
        });
    }
    Ok(())
}

async fn get(id: &str, address: &str, controller: &str, window: &str, mib: &str, streams: u64) -> Result<()> {
    let address: SocketAddr = address.parse()?;
    let endpoint = bind("0.0.0.0:0".parse()?, controller, window).await?;
    let peer = EndpointAddr::from_parts(id.parse()?, [TransportAddr::Ip(address)]);
    let connection = endpoint.connect(peer, ALPN).await?;
    let start = Instant::now();
    let total = mib.parse::<u64>()? * MIB;
    let mut tasks = Vec::new();
    for _ in 0..streams {
        let (mut send, mut receive) = connection.open_bi().await?;
        send.write_all(&(total / streams).to_be_bytes()).await?;
        tasks.push(tokio::spawn(async move {
            let mut bytes = 0;
            while let Some(chunk) = receive.read_chunk(1 << 20).await? {
                bytes += chunk.len();
            }
            anyhow::Ok(bytes)
        }));
    }
    let mut bytes = 0;
    for task in tasks {
        bytes += task.await??;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.1} Mbit/s ({:.0} MiB/s)", bytes as f64 * 8e-6 / seconds, bytes as f64 / MIB as f64 / seconds);
    connection.close(0u32.into(), b"done");
    endpoint.close().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", listen, controller, window] => serve(listen, controller, window).await,
        ["get", id, address, controller, window, mib] => get(id, address, controller, window, mib, 1).await,
        ["get", id, address, controller, window, mib, streams] => {
            get(id, address, controller, window, mib, streams.parse().context("STREAMS")?).await
        }
        _ => bail!("usage: see the head of this file"),
    }
}
