package api

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"strconv"
	"sync"
	"time"

	"cairn/api/client"
	"cairn/chain"
	"cairn/consensus"
	"cairn/mempool"
	"cairn/store"
	"cairn/types"
)

const (
	// heartbeat is how often a reader hears something, be it only that the
	// connection lives.
	heartbeat = 15 * time.Second
	// eventRun is how many blocks or changes of the pool are read at a time.
	eventRun = 256
	// maxReaders is how many streams of events are served at once.
	maxReaders = 1000
	// maxStreams is how many of them a stranger may have.
	maxStreams = 32
)

// registerEvents registers the stream of events.
func (d *docs) registerEvents() {
	op := d.answers(get("/v1/events", "get-events", tagChain, "Follow the chain and the pool (server-sent events)"),
		http.StatusOK, mediaEvents, reflect.TypeFor[client.Event]())
	op.Description = "Block events lead from a block that the reader knows to the tip and on, in order, without a gap or a duplicate: " +
		"block_reverted and block_applied. The id of an event is the hash of the block that the reader is then at; to resume, send it as " +
		"Last-Event-ID or `after`. With `pool`, pool_reset comes first, then every pending transfer as transfer_pooled, then what changes."
	call(d, op, d.s.events)
}

type eventsParams struct {
	After       string `query:"after" doc:"Hash of the block that the reader is at; absent: the tip"`
	LastEventID string `header:"Last-Event-ID" doc:"Counts before after"`
	Pool        bool   `query:"pool" doc:"Also events of the pool"`
}

// start returns the block that a reader is at.
func (p *eventsParams) start(tip types.Hash) (types.Hash, error) {
	text := p.LastEventID
	if text == "" {
		text = p.After
	}
	if text == "" {
		return tip, nil
	}
	hash, err := types.ParseHash(text)
	if err != nil {
		return hash, invalid("after is %s; it should be a hash of 64 hex digits", quote(text))
	}
	return hash, nil
}

// events answers GET /v1/events. It ends when the client leaves, when it takes too
// long to read, or when the node stops.
func (s *server) events(w *response, r *http.Request, in *eventsParams) error {
	at, err := in.start(s.chain.Tip().Hash)
	if err != nil {
		return err
	}
	if _, err := s.chain.UpdatesSince(at, 0); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			err = refuse(client.ErrNotFound, "no block %s is known here; begin after the genesis block, %s", at, s.rules.ChainID())
		}
		return err
	}
	if err := s.readers.enter(r, w.who.stranger); err != nil {
		return err
	}
	defer s.readers.leave(r, w.who.stranger)
	w.Header().Set("Content-Type", mediaEvents)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	f := &follower{s: s, w: w, at: at, pool: in.Pool}
	return f.follow(r.Context())
}

// follower is one reader of events, and how far it is.
type follower struct {
	s    *server
	w    *response
	at   types.Hash // block
	pool bool
	next uint64 // change of the pool; 0: none was sent
	// poolRead says that the reader was given the pool as it was.
	poolRead bool
	buffer   []byte
	changes  []chain.PoolChange
}

// follow sends what there is, and then waits for more: a signal that something
// changed, or the time for a heartbeat.
func (f *follower) follow(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	cancel := f.s.chain.OnChange(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer cancel()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	// An id without an event: from now on a reader knows where it is.
	if err := f.send([]byte("id: " + f.at.String() + "\n\n")); err != nil {
		return err
	}
	for {
		if err := f.catchUp(ctx); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-beat.C:
			if err := f.send([]byte(":\n\n")); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// catchUp sends the events up to now. Blocks come first, so that a transfer is in
// its block before others take its place in the pool.
func (f *follower) catchUp(ctx context.Context) error {
	for ctx.Err() == nil {
		more, err := f.blocks()
		if err == nil && f.pool {
			var morePool bool
			morePool, err = f.poolEvents(ctx)
			more = more || morePool
		}
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (f *follower) blocks() (more bool, err error) {
	u, err := f.s.chain.UpdatesSince(f.at, eventRun)
	if err != nil {
		return false, err
	}
	f.buffer = f.buffer[:0]
	for i := range u.Reverted {
		b := &u.Reverted[i]
		f.buffer = append(f.buffer, f.s.frames.of(b, true)...)
		f.at = b.Previous
	}
	for i := range u.Applied {
		b := &u.Applied[i]
		f.buffer = append(f.buffer, f.s.frames.of(b, false)...)
		f.at = b.Hash
	}
	if len(f.buffer) == 0 {
		return false, nil
	}
	return true, f.send(f.buffer)
}

// poolEvents sends the whole pool to a reader that has not had it, or is too far
// behind, and then what changed since.
func (f *follower) poolEvents(ctx context.Context) (more bool, err error) {
	var ok bool
	from := f.next
	if f.changes, f.next, ok = f.s.chain.PoolChanges(f.changes[:0], from, eventRun); !ok || !f.poolRead {
		return true, f.wholePool(ctx)
	}
	f.buffer = f.buffer[:0]
	for i := range f.changes {
		f.buffer = f.s.appendChange(f.buffer, &f.changes[i])
	}
	clear(f.changes)
	if len(f.buffer) == 0 { // all that a run had may have been mined
		return f.next != from, nil
	}
	return true, f.send(f.buffer)
}

func (f *follower) wholePool(ctx context.Context) error {
	var snapshot mempool.Snapshot
	snapshot, f.next = f.s.chain.PoolSnapshot()
	f.poolRead = true
	f.buffer = appendFrame(f.buffer[:0], "", client.PoolReset, []byte("{}"))
	for e := range snapshot.Best() {
		f.buffer = f.s.appendChange(f.buffer, &chain.PoolChange{Entry: *e})
		if len(f.buffer) > pieceSize {
			if err := f.send(f.buffer); err != nil || ctx.Err() != nil {
				return err
			}
			f.buffer = f.buffer[:0]
		}
	}
	return f.send(f.buffer)
}

func (f *follower) send(b []byte) error { return flushed(f.w, b) }

// appendFrame appends one event in the form of server-sent events; without an id it
// does not move the reader.
func appendFrame(b []byte, id, name string, data []byte) []byte {
	if id != "" {
		b = append(append(append(b, "id: "...), id...), '\n')
	}
	b = append(append(append(b, "event: "...), name...), '\n')
	return append(append(append(b, "data: "...), data...), "\n\n"...)
}

func (s *server) appendChange(b []byte, c *chain.PoolChange) []byte {
	data := append([]byte(nil), `{"transfer":`...)
	data = s.writer().appendTransfer(data, c.Entry.ID, c.Entry.Transfer)
	name := client.TransferPooled
	if c.Dropped != nil {
		name = client.TransferDropped
		data = append(data, `,"reason":`...)
		if reason, err := marshal(problemOf(c.Dropped)); err == nil { // strings and numbers always marshal
			data = append(data, reason...)
		}
	}
	return appendFrame(b, "", name, append(data, '}'))
}

// frames are the latest events of blocks as they are sent, so that a thousand readers
// share one.
type frames struct {
	mu   sync.Mutex
	kept map[frameKey][]byte
}

type frameKey struct {
	hash     types.Hash
	reverted bool
}

// of returns the event that a block was reverted or applied.
func (f *frames) of(b *consensus.State, reverted bool) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := frameKey{b.Hash, reverted}
	if frame := f.kept[key]; frame != nil {
		return frame
	}
	if f.kept == nil || len(f.kept) >= 4*eventRun {
		f.kept = make(map[frameKey][]byte)
	}
	frame := blockFrame(b, reverted)
	f.kept[key] = frame
	return frame
}

func blockFrame(b *consensus.State, reverted bool) []byte {
	data := append([]byte(nil), `{"block":{"hash":"`...)
	data = appendHash(data, b.Hash)
	data = append(data, `","previous":"`...)
	data = appendHash(data, b.Previous)
	data = append(data, `","height":`...)
	data = strconv.AppendUint(data, uint64(b.Height), 10)
	data = append(data, `,"time":`...)
	data = strconv.AppendUint(data, uint64(b.Time), 10)
	data = fmt.Appendf(data, `,"work":"%s"}}`, b.Work)
	if reverted {
		return bytes.Clone(appendFrame(nil, b.Previous.String(), client.BlockReverted, data))
	}
	return bytes.Clone(appendFrame(nil, b.Hash.String(), client.BlockApplied, data))
}

// readers counts the streams that are open, and those of each stranger.
type readers struct {
	most      int // maxReaders, but for tests
	mu        sync.Mutex
	open      int
	strangers map[netip.Prefix]int
}

// enter takes up a reader, or says why not.
func (r *readers) enter(request *http.Request, stranger bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == cmp.Or(r.most, maxReaders) {
		return refuse(client.ErrRateLimited, "%d streams of events are open, which is the most; try again later", maxReaders)
	}
	if c := clientOf(request); stranger {
		if r.strangers[c] == maxStreams {
			return refuse(client.ErrRateLimited, "%d streams of events are open to %s, which is the most; get a token from the node's operator for more", maxStreams, c.Addr())
		}
		if r.strangers == nil {
			r.strangers = make(map[netip.Prefix]int)
		}
		r.strangers[c]++
	}
	r.open++
	return nil
}

func (r *readers) leave(request *http.Request, stranger bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	if c := clientOf(request); stranger {
		if r.strangers[c]--; r.strangers[c] == 0 {
			delete(r.strangers, c)
		}
	}
}
