package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"cairn/types"
)

// maxEvent is the most bytes of one line of a stream of events.
const maxEvent = 1 << 20

// EventsOptions say what Events yields.
type EventsOptions struct {
	// After is the block that the reader is at: the genesis block's hash for
	// everything. The zero hash stands for the present tip.
	After types.Hash
	// Pool asks for the events of the pool as well.
	Pool bool
}

// Events follows the chain, for ever. What it yields of blocks leads from
// o.After to the tip and on, by the shortest way, in order, without a gap and
// without a duplicate, however often the connection breaks or the node restarts:
// Events then connects again and resumes. So whoever adds up block_applied and takes
// away block_reverted is always where the node was.
//
// An error comes last, when ctx ends or the node refuses for good: ErrNotFound says
// that it does not know the block to resume after. Keep Event.Cursor with what you
// made of the events, and begin there next time.
func (c *Client) Events(ctx context.Context, o EventsOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s := &subscription{o: o, yield: yield}
		pause := firstPause
		for {
			began, err := c.once(ctx, s.request(), s.read)
			switch {
			case s.stopped:
				return
			case ctx.Err() != nil:
				yield(Event{}, context.Cause(ctx))
				return
			case !began && permanent(err):
				yield(Event{}, err)
				return
			}
			if s.progress {
				pause, s.progress = firstPause, false
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				yield(Event{}, context.Cause(ctx))
				return
			}
			pause = min(2*pause, maxPause)
		}
	}
}

// permanent tells a refusal that stays the same from one for now, and from a node
// that cannot be reached.
func permanent(err error) bool {
	var busy *busyError
	var refused *Problem
	return errors.As(err, &refused) && !errors.As(err, &busy) && refused.Status < 500
}

// subscription is one reader's place in the events.
type subscription struct {
	o        EventsOptions
	yield    func(Event, error) bool
	stopped  bool // by the reader
	progress bool // an event came since the last pause
}

func (s *subscription) request() request {
	query := url.Values{}
	if s.o.After != (types.Hash{}) {
		query.Set("after", s.o.After.String())
	}
	if s.o.Pool {
		query.Set("pool", "true")
	}
	return request{method: http.MethodGet, path: "/v1/events", query: query}
}

// read yields the events of one connection.
func (s *subscription) read(body io.Reader) error {
	lines := bufio.NewReaderSize(body, 4096)
	var id, name, data []byte
	for {
		line, err := readLine(lines)
		if err != nil {
			return err
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.Clone(bytes.TrimPrefix(value, []byte(" ")))
		switch string(field) {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data = value
		}
		if len(line) > 0 {
			continue
		}
		if data == nil { // the node says where the stream begins
			if hash, err := types.ParseHash(string(id)); err == nil {
				s.o.After = hash
			}
			id, name = nil, nil
			continue
		}
		if err := s.event(string(id), string(name), data); err != nil || s.stopped {
			return err
		}
		id, name, data = nil, nil, nil
	}
}

// event yields one event.
func (s *subscription) event(id, name string, data []byte) error {
	e := Event{Type: name}
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("event %q: %w", name, err)
	}
	if id != "" {
		hash, err := types.ParseHash(id)
		if err != nil {
			return fmt.Errorf("event %q: its id: %w", name, err)
		}
		s.o.After = hash
	}
	e.Cursor = s.o.After
	s.progress = true
	s.stopped = !s.yield(e, nil)
	return nil
}

// readLine returns a line without its end; the bytes are good until the next call.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(long) <= maxEvent {
			line, err = r.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	if len(line) > maxEvent {
		return nil, fmt.Errorf("a line of more than %d bytes", maxEvent)
	}
	return bytes.TrimRight(line, "\r\n"), err
}
