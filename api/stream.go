package api

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"cairn/api/client"
	"cairn/chain"
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
		return part{}, refuse(client.ErrSyntax, "the query of the URL cannot be read (%v); it is like ?from=10&limit=5", err)
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

// buffer is the room for an answer. It is used again: a server would otherwise make
// garbage as fast as it sends.
type buffer struct{ bytes []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// takeBuffer returns an empty buffer, to be given back.
func takeBuffer() *buffer {
	b := buffers.Get().(*buffer) // it holds nothing else
	b.bytes = b.bytes[:0]
	return b
}

// give lets others use the buffer.
func (b *buffer) give() {
	if cap(b.bytes) <= maxKept {
		buffers.Put(b)
	}
}

// runSize is how much of an answer is made between two waits for the client.
const runSize = 2 * pieceSize

// maxKept is the most bytes of a buffer that is kept for reuse: one that held a
// huge block is let go.
const maxKept = 1 << 20

// streamChain answers with head, which is an object up to a value, the blocks of
// a part as an array, and the object's end. It holds one run of blocks at a time,
// and sees the chain as it was when it began.
func (s *server) streamChain(w *response, head string, p part) (err error) {
	snapshot, err := s.chain.Snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	keep := keepCache(snapshot)
	defer func() { keep.release() }()
	b := takeBuffer()
	defer b.give()
	b.bytes = append(append(b.bytes, head...), '[')
	end := min(uint64(p.from)+uint64(p.limit), uint64(snapshot.Tip.Height)+1)
	for height := uint64(p.from); height < end; {
		if height, err = s.bufferRun(b, snapshot, height, end); err != nil {
			return err
		}
		if height == end {
			break
		}
		b.bytes = append(b.bytes, ',')
		if err := keep.during(func() error { return writePart(w, http.StatusOK, b.bytes) }); err != nil {
			return err
		}
		b.bytes = b.bytes[:0]
	}
	b.bytes = append(b.bytes, "]}\n"...)
	return writeBody(w, http.StatusOK, b.bytes)
}

// keptCache keeps the database's cache from growing while a chain is sent, but not
// for a client that takes its time: others would have to do with a small one.
type keptCache struct {
	snapshot *chain.Snapshot
	release  func()
}

// keepTime is how long a client may take for a run until the cache is let go.
const keepTime = time.Second

func keepCache(s *chain.Snapshot) *keptCache { return &keptCache{s, sync.OnceFunc(s.KeepCache())} }

// during waits for the client.
func (k *keptCache) during(wait func() error) error {
	timer := time.AfterFunc(keepTime, k.release)
	err := wait()
	if !timer.Stop() {
		k.release() // it may have been about to
		k.release = sync.OnceFunc(k.snapshot.KeepCache())
	}
	return err
}

// bufferRun appends the blocks from a height up to, not including, end, with
// commas between them, until the buffer holds a run. It returns the height after
// the last.
func (s *server) bufferRun(b *buffer, snapshot *chain.Snapshot, height, end uint64) (uint64, error) {
	for block, err := range snapshot.BestBlocks(uint32(height), uint32(end-1)) {
		if err != nil {
			return height, err
		}
		b.bytes = appendBlock(b.bytes, s.rules, uint32(height), block)
		if height++; len(b.bytes) >= runSize {
			break
		}
		if height < end {
			b.bytes = append(b.bytes, ',')
		}
	}
	return height, nil
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

// writeBody answers with JSON, or ends an answer that has begun. One that is written
// at once tells its length: the server would otherwise send it in chunks, which takes
// a call of the system more.
func writeBody(w *response, status int, body []byte) error {
	if w.status == 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	return writePart(w, status, body)
}

// writePart begins an answer of JSON, or continues it.
func writePart(w *response, status int, part []byte) error {
	if w.status == 0 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
	}
	_, err := w.Write(part)
	return err
}
