package api

import (
	"net/http"
	"time"

	"cairn/api/client"
)

// status answers GET /v1/status.
func (s *server) status(w *response, _ *http.Request) error {
	tip, pool := s.chain.Tip(), s.chain.Pool()
	return writeJSON(w, http.StatusOK, client.Status{
		Network:     s.rules.Name,
		ChainID:     s.rules.ChainID(),
		Height:      tip.Height,
		Tip:         tip.Hash,
		Work:        tip.Work.String(),
		Time:        tip.Time,
		Pool:        client.PoolStatus{Transfers: pool.Transfers, Bytes: pool.Bytes},
		Neighbours:  len(s.syncer.Neighbours()),
		Version:     s.version,
		NodeAddress: s.address,
		Uptime:      int64(time.Since(s.started) / time.Second),
	})
}

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
