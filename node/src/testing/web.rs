//! A web server that says what it is told to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

/// A web server.
pub(crate) struct WebServer {
    /// Its address, `http://` first.
    pub(crate) address: String,
    /// By path, the whole answer.
    pages: Arc<Mutex<HashMap<String, String>>>,
    /// What was asked for.
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl WebServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (pages, asked) = (Arc::<Mutex<HashMap<_, _>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let serving = tokio::spawn(serve(listener, pages.clone(), asked.clone()));
        Self { address, pages, asked, serving }
    }

    /// Answers this to whoever asks for a path from now on.
    pub(crate) fn say(&self, path: &str, status: &str, headers: &str, body: &str) {
        let page =
            format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len());
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    /// Returns what was asked for since this was called last.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// Answers nobody any more.
    pub(crate) async fn stop(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }
}

async fn serve(listener: TcpListener, pages: Arc<Mutex<HashMap<String, String>>>, asked: Arc<Mutex<Vec<String>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let path = text.split(' ').nth(1).unwrap_or_default();
        asked.lock().unwrap().push(path.to_owned());
        let page = pages.lock().unwrap().get(path).cloned();
        let page = page.unwrap_or("HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".into());
        let _ = stream.write_all(page.as_bytes()).await;
    }
}
