package syncer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"cairn/chain"
	"cairn/store"
	"cairn/types"
)

const (
	// concurrent is how many calls are answered at a time. More wait a little
	// and are then told to come back.
	concurrent = 64
	// writeSize is how many bytes a caller must take within the time of
	// limits.stall.
	writeSize = 128 << 10
	// headersAtOnce is how many headers are read before they are written.
	headersAtOnce = writeSize / types.HeaderSize
)

// Handler serves this node's chain to its neighbours: everything below Path. An
// answer is streamed, and at most writeSize bytes and one block are held at a
// time, besides one genesis file for all. It changes nothing, so it needs no token.
func (s *Syncer) Handler() http.Handler {
	return http.HandlerFunc(s.serve)
}

// query is what one of the calls does: it writes an answer, or returns an
// *httpError before it has written anything.
type query func(w *stream, q url.Values) error

func (s *Syncer) serve(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.Header().Set("Cache-Control", "no-store")
	answer, keys := query(nil), []string(nil)
	switch r.URL.Path {
	case tipPath:
		answer = s.serveTip
	case headersPath:
		answer, keys = s.serveHeaders, []string{"after", "max"}
	case blocksPath:
		answer, keys = s.serveBlocks, []string{"hash"}
	case genesisPath:
		answer = s.serveGenesis
	default:
		problem(rw, http.StatusNotFound, "there is nothing at this path; this node serves "+tipPath+", "+headersPath+", "+blocksPath+" and "+genesisPath)
		return
	}
	if r.Method != http.MethodGet {
		rw.Header().Set("Allow", http.MethodGet)
		problem(rw, http.StatusMethodNotAllowed, "use GET")
		return
	}
	q, err := parseQuery(r.URL.RawQuery, keys)
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	if !s.enter(r) {
		rw.Header().Set("Retry-After", "2")
		problem(rw, http.StatusServiceUnavailable, "too many neighbours are being served; try again in a moment")
		return
	}
	defer func() { <-s.serving }()
	s.run(rw, q, answer)
}

// enter waits for one of the places of those who are being served.
func (s *Syncer) enter(r *http.Request) bool {
	select {
	case s.serving <- struct{}{}:
		return true
	default:
	}
	patience := time.NewTimer(s.limits.busyWait)
	defer patience.Stop()
	select {
	case s.serving <- struct{}{}:
		return true
	case <-patience.C:
	case <-r.Context().Done():
	}
	return false
}

// run runs a query and sees to the end of its answer.
func (s *Syncer) run(rw http.ResponseWriter, q url.Values, answer query) {
	w := &stream{w: rw, control: http.NewResponseController(rw), stall: s.limits.stall, left: s.limits.stall}
	err := answer(w, q)
	var refused *httpError
	switch {
	case errors.As(err, &refused):
		problem(rw, refused.status, refused.detail)
	case err == nil || w.err != nil: // the caller's connection is the caller's
		w.end()
	case w.begun:
		s.log.Error("sync: reading the chain", "error", err)
		panic(http.ErrAbortHandler) // an answer that ends here must not look whole
	default:
		s.log.Error("sync: reading the chain", "error", err)
		problem(rw, http.StatusInternalServerError, "the chain cannot be read")
	}
}

// stream writes an answer. The caller has limits.stall for every writeSize bytes;
// only the time that it spends not taking them counts.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	left    time.Duration // of the time for the present bytes
	taken   int           // of the present bytes
	begun   bool
	err     error // of the connection; it sticks
}

// begin sends the status; size is that of the answer, or -1.
func (s *stream) begin(size int64) {
	s.begun = true
	s.w.Header().Set("Content-Type", mediaType)
	if size >= 0 {
		s.w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	s.w.WriteHeader(http.StatusOK)
}

func (s *stream) write(b []byte) error {
	for len(b) > 0 && s.err == nil {
		n := min(len(b), writeSize-s.taken)
		start := time.Now()
		// A writer without deadlines, as in tests, is as good without.
		_ = s.control.SetWriteDeadline(start.Add(s.left))
		_, s.err = s.w.Write(b[:n])
		b = b[n:]
		s.left -= time.Since(start)
		if s.taken += n; s.taken == writeSize {
			s.left, s.taken = s.stall, 0
		}
	}
	return s.err
}

// end gives the caller time for what is buffered. The server hands that over,
// and takes the deadline off the connection for the next request.
func (s *stream) end() { _ = s.control.SetWriteDeadline(time.Now().Add(s.stall)) }

func (s *Syncer) claim(c *chain.Snapshot) claim {
	return claim{s.chain.Rules().ChainID(), s.instance, c.Tip.Height, c.Tip.Hash, c.Tip.Work}
}

func (s *Syncer) serveTip(w *stream, _ url.Values) error {
	snapshot, err := s.chain.Snapshot()
	if err != nil {
		return err
	}
	c := s.claim(snapshot)
	if err := snapshot.Close(); err != nil {
		return err
	}
	w.begin(claimSize)
	return w.write(c.append(nil))
}

func (s *Syncer) serveHeaders(w *stream, q url.Values) error {
	locator, err := parseHashes(q.Get("after"), maxLocator)
	if err != nil {
		return badRequest("after: " + err.Error())
	}
	most := uint64(maxHeaders)
	if q.Has("max") {
		most, err = strconv.ParseUint(q.Get("max"), 10, 32)
		if err != nil || most < 1 || most > maxHeaders {
			return badRequest("max is a number from 1 to " + strconv.Itoa(maxHeaders))
		}
	}
	snapshot, err := s.chain.Snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Close() // releases it; nothing to do about an error
	fork, err := findFork(snapshot, locator)
	if err != nil {
		return err
	}
	count := min(most, uint64(snapshot.Tip.Height-fork))
	c := s.claim(snapshot)
	head := binary.LittleEndian.AppendUint32(c.append(nil), uint32(count))
	w.begin(int64(len(head)) + int64(count)*types.HeaderSize)
	if err := w.write(head); err != nil {
		return err
	}
	return writeHeaders(w, snapshot, fork, uint32(count))
}

// findFork returns the height of the first block of a locator that is on the
// best chain.
func findFork(snapshot *chain.Snapshot, locator []types.Hash) (uint32, error) {
	for _, hash := range locator {
		state, _, err := snapshot.State(hash)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		best, err := snapshot.BestHash(state.Height)
		if err == nil && best == hash {
			return state.Height, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, err
		}
	}
	return 0, &httpError{http.StatusNotFound, "none of these blocks is on this node's chain; the last one asked for should be the genesis block"}
}

// writeHeaders writes the headers of count blocks after a height. Nothing of the
// database stays open while the caller takes them.
func writeHeaders(w *stream, snapshot *chain.Snapshot, height, count uint32) error {
	buffer := make([]byte, 0, headersAtOnce*types.HeaderSize)
	for last := height + count; height < last; {
		to := height + min(last-height, headersAtOnce)
		var err error
		if buffer, err = snapshot.AppendHeaders(buffer[:0], height+1, to); err != nil {
			return err
		}
		if err := w.write(buffer); err != nil {
			return err
		}
		height = to
	}
	return nil
}

// serveBlocks needs no snapshot: a block is never changed, and never forgotten.
func (s *Syncer) serveBlocks(w *stream, q url.Values) error {
	hashes, err := parseHashes(q.Get("hash"), maxBlocks)
	if err != nil {
		return badRequest("hash: " + err.Error())
	}
	var buffer []byte
	for len(hashes) > 0 {
		if buffer, hashes, err = s.appendBlocks(buffer[:0], hashes); err != nil {
			return err
		}
		if !w.begun {
			w.begin(-1)
		}
		if err := w.write(buffer); err != nil {
			return err
		}
	}
	return nil
}

// appendBlocks appends the answer for the first of the hashes, or more if they
// are small, and returns the hashes that are left.
func (s *Syncer) appendBlocks(b []byte, hashes []types.Hash) ([]byte, []types.Hash, error) {
	bodies, err := s.store.Bodies()
	if err != nil {
		return b, nil, err
	}
	defer bodies.Close()
	var next uint32 // height of the one after the last block, which most callers ask for
	for len(b) < writeSize && len(hashes) > 0 {
		block, found, err := bodies.At(next, hashes[0])
		if err == nil && !found {
			block, next, err = s.findBlock(hashes[0])
		}
		if err != nil {
			return b, nil, err
		}
		if len(b) == 0 { // the others are likely of about this size
			b = slices.Grow(b, min(writeSize, len(hashes)*(4+len(block))))
		}
		hashes, next = hashes[1:], next+1
		b = binary.LittleEndian.AppendUint32(b, uint32(len(block)))
		b = append(b, block...)
	}
	return b, hashes, nil
}

// findBlock returns a block of whatever branch, and its height; nothing where
// there is none.
func (s *Syncer) findBlock(hash types.Hash) ([]byte, uint32, error) {
	state, status, err := s.store.State(hash)
	if errors.Is(err, store.ErrNotFound) || err == nil && status&store.HaveBody == 0 {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	block, err := s.store.BlockBytes(state.Height, hash)
	return block, state.Height, err
}

func (s *Syncer) serveGenesis(w *stream, _ url.Values) error {
	file := s.genesis()
	w.begin(int64(len(file)))
	return w.write(file)
}

// parseQuery reads a query that has each of its keys once and no others.
func parseQuery(text string, keys []string) (url.Values, error) {
	q, err := url.ParseQuery(text)
	if err != nil {
		return nil, formatError("the query cannot be read")
	}
	known := 0
	for _, key := range keys {
		if len(q[key]) > 1 {
			return nil, formatError("%s stands there twice", key)
		}
		known += len(q[key])
	}
	if known != len(q) {
		return nil, formatError("the query has a key that is not known; known here are %q", keys)
	}
	return q, nil
}

// httpError is an answer that says why there is no other.
type httpError struct {
	status int
	detail string
}

func (e *httpError) Error() string { return e.detail }

func badRequest(detail string) error { return &httpError{http.StatusBadRequest, detail} }

// problem writes an RFC 9457 answer.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// An error here means that the caller left.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail,
	})
}
