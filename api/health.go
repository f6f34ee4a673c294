package api

import "net/http"

// healthy answers GET /healthz: whoever can answer is alive.
func (s *server) healthy(w *response, _ *http.Request) error {
	return writeText(w, "ok\n")
}

// ready answers GET /readyz: the node can read its chain, so it can serve.
func (s *server) ready(w *response, _ *http.Request) error {
	snapshot, err := s.chain.Snapshot()
	if err != nil {
		return err
	}
	if err := snapshot.Close(); err != nil {
		return err
	}
	return writeText(w, "ready\n")
}

func writeText(w *response, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := w.Write([]byte(text))
	return err
}
