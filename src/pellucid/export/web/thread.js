// A worker that says whether it may share memory, as threads do.
postMessage(self.crossOriginIsolated);
