package api

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"sync"

	"cairn/chain"
	"cairn/consensus"
)

// part is a run of blocks of the best chain.
type part struct {
	from  uint32 // height of the first
	limit uint32 // the most blocks
}

// wholeChain is longer than any chain but one of 2^32 blocks.
var wholeChain = part{limit: math.MaxUint32}

// parsePart reads the query of GET /chain.
func parsePart(query string) (part, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return part{}, refuse(http.StatusBadRequest, "the query of the URL cannot be read (%v); it is like ?from=10&limit=5", err)
	}
	p := wholeChain
	for key, given := range values {
		var target *uint32
		switch key {
		case "from":
			target = &p.from
		case "limit":
			target = &p.limit
		default:
			return part{}, invalid("there is no parameter %s here; the parameters are from and limit", quote(key))
		}
		n, err := strconv.ParseUint(given[0], 10, 32)
		if err != nil || len(given) > 1 {
			return part{}, invalid("%s is %s; it should be one whole number from 0 to %d", key, quoteAll(given), uint32(math.MaxUint32))
		}
		*target = uint32(n)
	}
	return p, nil
}

func quoteAll(values []string) string {
	if len(values) == 1 {
		return quote(values[0])
	}
	return "there " + strconv.Itoa(len(values)) + " times"
}

// buffers are reused: a server that streams chains would otherwise make garbage
// as fast as it sends.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const (
	// runSize is how much of an answer is made between two waits for the client.
	runSize = 2 * stallSize
	// maxKept is the most bytes of a buffer that is kept for reuse: one that held a
	// huge block is let go.
	maxKept = 1 << 20
	// firstBlocks is how many blocks a run has before it is known how long they are.
	firstBlocks = 16
)

// streamChain answers with head, which is an object up to a value, the blocks of
// a part as an array, and the object's end. It sees the chain as it was when it
// began. Runs of blocks are made on all cores, ahead of the client by no more than
// one for each core.
func (s *server) streamChain(w *response, head string, p part) (err error) {
	snapshot, err := s.chain.Snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	defer snapshot.KeepCache()()
	c := chainStream{rules: s.rules, snapshot: snapshot, first: uint64(p.from), blocks: firstBlocks}
	c.next, c.end = c.first, min(c.first+uint64(p.limit), uint64(snapshot.Tip.Height)+1)
	defer c.workers.Wait()
	if err := writeBody(w, http.StatusOK, []byte(head+"[")); err != nil {
		return err
	}
	for c.startRuns(); len(c.ahead) > 0; c.startRuns() {
		r := c.ahead[0]
		c.ahead = c.ahead[1:]
		if err := c.send(w, r); err != nil {
			return err
		}
	}
	return writeBody(w, http.StatusOK, []byte("]}\n"))
}

// chainStream is one answer of many blocks in the making.
type chainStream struct {
	rules    *consensus.Rules
	snapshot *chain.Snapshot
	first    uint64 // height of the first block of all
	next     uint64 // of the first that is in no run yet
	end      uint64 // the height after the last
	blocks   uint64 // of the next run: about runSize of them

	ahead   []*chainRun // that the client has not got, in order
	workers sync.WaitGroup
}

// chainRun is a run of blocks whose JSON is being made.
type chainRun struct {
	from, to uint64 // heights of those that are not in the buffer; to is not included
	buffer   *bytes.Buffer
	count    uint64 // of blocks in the buffer
	err      error
	ready    chan struct{} // closed when the buffer holds all of it, or is full, or with err
}

// startRuns sees to it that every core has a run to make.
func (c *chainStream) startRuns() {
	for len(c.ahead) < runtime.GOMAXPROCS(0) && c.next < c.end {
		r := &chainRun{from: c.next, to: min(c.next+c.blocks, c.end), ready: make(chan struct{})}
		r.buffer = buffers.Get().(*bytes.Buffer)
		c.ahead, c.next = append(c.ahead, r), r.to
		work := func() {
			c.fill(r)
			close(r.ready)
		}
		if len(c.ahead) == 1 && c.next == c.end {
			work() // there is nothing else to do
		} else {
			c.workers.Go(work)
		}
	}
}

// send writes a run, and what of it did not fit into its buffer.
func (c *chainStream) send(w *response, r *chainRun) error {
	<-r.ready
	defer func() {
		if r.buffer.Cap() <= maxKept {
			buffers.Put(r.buffer)
		}
	}()
	for r.err == nil {
		if r.count > 0 {
			c.blocks = max(runSize*r.count/uint64(r.buffer.Len()), 1)
		}
		if err := writeBody(w, http.StatusOK, r.buffer.Bytes()); err != nil || r.from == r.to {
			return err
		}
		c.fill(r)
	}
	return r.err
}

// fill puts the next blocks of a run into its buffer until that is full, each
// after a comma but for the first of all.
func (c *chainStream) fill(r *chainRun) {
	r.buffer.Reset()
	r.count = 0
	for block, err := range c.snapshot.BestBlocks(uint32(r.from), uint32(r.to-1)) {
		if r.err = err; err != nil {
			return
		}
		if r.from > c.first {
			r.buffer.WriteByte(',')
		}
		r.buffer.Write(appendBlock(r.buffer.AvailableBuffer(), c.rules, uint32(r.from), block))
		r.from++
		if r.count++; r.buffer.Len() >= runSize {
			return
		}
	}
}

// marshal returns the JSON of v as it is served: without HTML escapes.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// writeJSON answers with the JSON of v.
func writeJSON(w *response, status int, v any) error {
	body, err := marshal(v)
	if err != nil {
		return err
	}
	return writeBody(w, status, append(body, '\n'))
}

// writeBody answers with JSON, or continues an answer that has begun.
func writeBody(w *response, status int, body []byte) error {
	if w.status == 0 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
	}
	_, err := w.Write(body)
	return err
}
