package api

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"

	"cairn/api/client"
	"cairn/types"
)

const (
	// maxAtOnce is how many transfers of a stream are submitted together.
	maxAtOnce = 512
	// maxLine is the most bytes of a transfer in JSON, white space included.
	maxLine = 8 << 10
)

// streamReaders are used again: each is larger than most requests. One holds any
// encoding whole, whose length is of 16 bits.
var streamReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

// submitMany answers POST /v1/transactions/stream. It takes as many transfers as have
// arrived, submits them together, and answers, until the client ends its body.
func (s *server) submitMany(w *response, r *http.Request, _ *none) error {
	reader := streamReaders.Get().(*bufio.Reader) // it holds nothing else
	reader.Reset(r.Body)
	defer func() {
		reader.Reset(nil)
		streamReaders.Put(reader)
	}()
	source := &transfers{s: s, w: w, r: reader, most: maxAtOnce}
	throttled := w.who.stranger && s.guard.limits.rate > 0
	if throttled {
		source.most = min(source.most, s.guard.limits.burst())
	}
	switch media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media {
	case mediaNDJSON:
		source.next, source.arrived = source.line, source.lineArrived
	case mediaOctets:
		source.next, source.arrived = source.bytes, source.bytesArrived
	default:
		return refuse(client.ErrContentType, "the content type is %s; send lines of JSON with the header `Content-Type: %s`, or bytes as %s",
			quote(r.Header.Get("Content-Type")), mediaNDJSON, mediaOctets)
	}
	_ = w.control.EnableFullDuplex() // HTTP/2 needs none
	w.Header().Set("Content-Type", mediaNDJSON)
	for {
		batch, end := source.take()
		if throttled { // each counts as a request, beside the one that opened the stream
			if err := s.guard.limits.wait(r, len(batch)); err != nil {
				return err
			}
		}
		if len(batch) > 0 {
			if err := s.answerBatch(w, r, batch); err != nil {
				return err
			}
		}
		switch {
		case end == io.EOF:
			if w.status == 0 {
				w.WriteHeader(http.StatusOK)
			}
			return nil
		case end != nil:
			line, err := appendLine(nil, client.StreamAnswer{Problem: problemOf(end)})
			return errors.Join(err, flushed(w, line))
		}
	}
}

// transfers are the transfers of a stream.
type transfers struct {
	s       *server
	w       *response
	r       *bufio.Reader
	next    func() (*types.Transfer, error)
	arrived func() bool // next need not wait
	most    int         // that are taken together
}

// received is a transfer of a stream, or what is wrong with it.
type received struct {
	transfer *types.Transfer
	err      error
}

// take waits for a transfer and returns it with those that have arrived by then.
// An error that is not about one transfer ends the stream: io.EOF in good order.
func (t *transfers) take() (batch []received, end error) {
	_ = t.w.control.SetReadDeadline(time.Now().Add(t.w.stall)) // for the first: the others are there
	for len(batch) < t.most && (len(batch) == 0 || t.arrived()) {
		transfer, err := t.next()
		var broken *brokenStream
		if errors.As(err, &broken) {
			return batch, broken.err
		}
		batch = append(batch, received{transfer, err})
	}
	return batch, nil
}

// brokenStream is an error after which nothing of a stream can be understood.
type brokenStream struct{ err error }

// Error implements error.
func (e *brokenStream) Error() string { return e.err.Error() }

// line reads a transfer of a stream of lines. Empty lines are passed over.
func (t *transfers) line() (*types.Transfer, error) {
	for {
		line, err := t.r.ReadSlice('\n')
		if err == io.EOF && len(line) > 0 {
			err = nil // the last line needs no end
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine:
			return nil, &brokenStream{refuse(client.ErrBodyTooLarge, "a line has more than %d bytes; a transfer needs far less", maxLine)}
		case err == io.EOF:
			return nil, &brokenStream{err}
		case err != nil:
			return nil, &brokenStream{bodyError(err)}
		}
		if blank(line) {
			continue
		}
		o, err := parseObject(line)
		if err != nil {
			return nil, err
		}
		transfer, err := t.s.parseTransfer(o)
		return &transfer, err
	}
}

// lineArrived tells whether a whole line with a transfer is there.
func (t *transfers) lineArrived() bool {
	for {
		there, _ := t.r.Peek(t.r.Buffered()) // which is there
		end := bytes.IndexByte(there, '\n')
		if end < 0 || !blank(there[:end]) {
			return end >= 0
		}
		_, _ = t.r.Discard(end + 1)
	}
}

func blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}

// bytes reads a transfer of a stream of encodings, each behind its length.
func (t *transfers) bytes() (*types.Transfer, error) {
	var size [2]byte
	if _, err := io.ReadFull(t.r, size[:1]); err == io.EOF {
		return nil, &brokenStream{io.EOF}
	} else if err != nil {
		return nil, &brokenStream{bodyError(err)}
	}
	_, err := io.ReadFull(t.r, size[1:])
	length := int(binary.LittleEndian.Uint16(size[:]))
	var encoding []byte
	if err == nil {
		encoding, err = t.r.Peek(length)
	}
	if err != nil {
		return nil, &brokenStream{bodyError(err)}
	}
	transfer, err := types.DecodeTransfer(encoding)
	_, _ = t.r.Discard(length) // which is there
	return &transfer, err
}

// bytesArrived tells whether a whole encoding is there.
func (t *transfers) bytesArrived() bool {
	there, _ := t.r.Peek(t.r.Buffered())
	return len(there) >= 2 && len(there)-2 >= int(binary.LittleEndian.Uint16(there))
}

// answerBatch submits transfers and writes a line for each.
func (s *server) answerBatch(w *response, r *http.Request, batch []received) error {
	good := make([]*types.Transfer, 0, len(batch))
	for i := range batch {
		if batch[i].err == nil {
			good = append(good, batch[i].transfer)
		}
	}
	answers, err := s.chain.AddTransfers(r.Context(), good)
	if err != nil {
		return err
	}
	var lines []byte
	for i := range batch {
		failed := batch[i].err
		if failed == nil {
			a := answers[0]
			if answers = answers[1:]; a.Err == nil {
				lines = append(appendAccepted(lines, a.Receipt), '\n')
				continue
			}
			failed = s.explain(a.Err, batch[i].transfer)
		}
		if lines, err = appendLine(lines, client.StreamAnswer{Problem: problemOf(failed)}); err != nil {
			return err
		}
	}
	return flushed(w, lines)
}

func appendLine(b []byte, v any) ([]byte, error) {
	line, err := json.Marshal(v)
	return append(append(b, line...), '\n'), err
}

// flushed writes a part of an answer and sends it at once.
func flushed(w *response, b []byte) error {
	if _, err := w.Write(b); err != nil {
		return err
	}
	return w.control.Flush()
}
