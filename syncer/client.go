package syncer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"cairn/types"
)

// limits bound what a neighbour can cost. Tests make them smaller.
type limits struct {
	// stall is how long a neighbour may go without progress. Progress is an
	// answer that begins, one that ends, or so many more bytes of headers or of
	// blocks: a byte now and then is none.
	stall       time.Duration
	headerBytes int
	blockBytes  int
	// headers is how long a round of headers may take in all.
	headers time.Duration
	// busyWait is how long to wait after an answer of 503, and busyTries how
	// often a call is tried in all.
	busyWait  time.Duration
	busyTries int
	// grace is how long the headers of all neighbours are waited for before the
	// best chain of those that have come is fetched, and how long one that was found
	// may say nothing where others answer.
	grace time.Duration
	// reassign is how long the block that is needed next may be on its way
	// before another neighbour is asked for it too.
	reassign time.Duration
	// held is the memory in bytes for blocks that wait to be applied, of all
	// neighbours together.
	held int64
	// round is how many headers are read before their bodies are fetched.
	round int
}

func defaultLimits() limits {
	return limits{
		stall:       30 * time.Second,
		headerBytes: 4 << 10,
		blockBytes:  128 << 10,
		headers:     5 * time.Minute,
		busyWait:    2 * time.Second,
		busyTries:   3,
		grace:       3 * time.Second,
		reassign:    3 * time.Second,
		held:        60 << 20, // the lists of a round take 9 MB more
		round:       maxHeaders,
	}
}

// errStall ends what made no progress for too long.
var errStall = errors.New("no progress")

// newTransport carries calls over TCP. It asks nobody for the way (no proxy),
// never decompresses, and bounds connecting and headers; answers are bounded by
// those who read them.
func newTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 16 << 10,
		MaxIdleConnsPerHost:    streams,
		IdleConnTimeout:        time.Minute,
		Protocols:              protocols,
	}
}

// source asks one neighbour. It uses the transport itself, not an http.Client:
// so it follows no redirect, and keeps no cookie.
type source struct {
	address string // base URL, as registered
	carrier http.RoundTripper
	limits  limits
	clock   func(address, date string, began time.Time) // is told of the Date of each answer; nil: nobody is
	found   bool                                        // nobody registered it: there are others like it
	asked   atomic.Int64                                // when the call was made whose answer has not begun, in Unix nanoseconds; 0: there is none
}

// silence is how long the neighbour has said nothing.
func (s *source) silence() time.Duration {
	if at := s.asked.Load(); at > 0 {
		return time.Since(time.Unix(0, at))
	}
	return 0
}

// answer is the body of an answer that is still being read. Reading fails with
// errStall when no progress is made; the time between reads does not count.
type answer struct {
	*http.Response
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
	least  int           // bytes that are progress
	left   time.Duration // of the time for the present bytes
	got    int           // of the present bytes
}

// get sends a GET for a path and a query below the base URL and waits for the
// answer to begin. The caller closes the answer.
func (s *source) get(ctx context.Context, path string, least int) (*answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &answer{ctx: ctx, cancel: cancel, stall: s.limits.stall, least: least, left: s.limits.stall}
	began := time.Now()
	a.timer = time.AfterFunc(s.limits.stall, func() { cancel(errStall) })
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address+path, nil)
	if err == nil {
		request.Header.Set("User-Agent", "cairn")
		request.Header.Set("Accept", mediaType)
		s.asked.Store(began.UnixNano())
		a.Response, err = s.carrier.RoundTrip(request)
		s.asked.Store(0)
	}
	a.timer.Stop()
	if err != nil {
		err = a.cause(err)
		cancel(nil)
		return nil, err
	}
	if s.clock != nil {
		s.clock(s.address, a.Header.Get("Date"), began)
	}
	return a, nil
}

// Read reads from the body.
func (a *answer) Read(p []byte) (int, error) {
	start := time.Now()
	a.timer.Reset(max(a.left, 0))
	n, err := a.Body.Read(p)
	a.timer.Stop()
	a.left -= time.Since(start)
	if a.got += n; a.got >= a.least {
		a.left, a.got = a.stall, 0
	}
	if err != nil && err != io.EOF {
		err = a.cause(err)
	}
	return n, err
}

// Close ends the exchange, whether or not everything was read.
func (a *answer) Close() {
	a.timer.Stop()
	a.cancel(nil)
	a.Body.Close() // nothing can be lost by an error here
}

// cause returns why the exchange was cancelled, if it was.
func (a *answer) cause(err error) error {
	if cause := context.Cause(a.ctx); cause != nil {
		return cause
	}
	return err
}

// call sends a GET to a call of the sync format and returns the answer to it, or
// a *failure that says what came instead. An answer of 503 is tried again.
func (s *source) call(ctx context.Context, path string, least int) (*answer, error) {
	for try := 1; ; try++ {
		a, err := s.get(ctx, path, least)
		if err != nil {
			return nil, s.failed(ctx, err)
		}
		media, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
		if a.StatusCode == http.StatusOK && media == mediaType && a.Header.Get("Content-Encoding") == "" {
			return a, nil
		}
		err = refusal(a)
		a.Close()
		if wordOf(err) != Busy || try == s.limits.busyTries {
			return nil, err
		}
		if err := sleep(ctx, s.limits.busyWait); err != nil {
			return nil, err
		}
	}
}

// refusal says what an answer is that is not of the sync format.
func refusal(a *answer) error {
	switch code := a.StatusCode; {
	case code >= 300 && code < 400:
		return fail(Redirects, "answers %d and points to %s; a redirect is not followed: register that address if it is right",
			code, quote(a.Header.Get("Location")))
	case code == http.StatusServiceUnavailable || code == http.StatusTooManyRequests:
		return fail(Busy, "answers %d: it has too much to do", code)
	case code == http.StatusOK:
		return fail(NotANode, "answers with the media type %s, not with %s", quote(a.Header.Get("Content-Type")), mediaType)
	default:
		start, _ := io.ReadAll(io.LimitReader(a, 512)) // a part is better than nothing
		return fail(NotANode, "answers %d: %s", code, quote(string(bytes.TrimSpace(start))))
	}
}

// failed turns an error of the network or of the format into a *failure. An end
// of ctx is the caller's, and stays as it is.
func (s *source) failed(ctx context.Context, err error) error {
	var already *failure
	var own errOwn
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &already) || errors.As(err, &own):
		return err
	case errors.Is(err, errStall):
		return fail(Slow, "nothing came, or too little, for %v", s.limits.stall)
	case errors.Is(err, errFormat):
		return fail(Malformed, "%v", err)
	}
	return fail(Unreachable, "%v", err)
}

// tip asks for the neighbour's claim.
func (s *source) tip(ctx context.Context) (claim, error) {
	a, err := s.call(ctx, tipPath, claimSize)
	if err != nil {
		if wordOf(err) == NotANode && s.isClassic(ctx) {
			err = fail(ClassicOnly, "speaks only the classic calls")
		}
		return claim{}, err
	}
	defer a.Close()
	c, err := readClaim(a)
	if err != nil {
		return claim{}, s.failed(ctx, err)
	}
	return c, nil
}

// classicStart is how much of a classic chain is looked at, in bytes.
const classicStart = 1024

// isClassic tells a node of the tutorial from other servers: it answers /chain
// with a JSON object that has a chain in front.
func (s *source) isClassic(ctx context.Context) bool {
	a, err := s.get(ctx, "/chain", classicStart)
	if err != nil {
		return false
	}
	defer a.Close()
	var start [classicStart]byte
	n, _ := io.ReadFull(a, start[:]) // shorter ones are whole
	object := bytes.TrimSpace(start[:n])
	return a.StatusCode == http.StatusOK && bytes.HasPrefix(object, []byte("{")) && bytes.Contains(object, []byte(`"chain"`))
}

// headers asks for the headers after the last common block of locator, at most
// max. The caller reads and closes the stream.
func (s *source) headers(ctx context.Context, locator []types.Hash, max int) (*headerStream, error) {
	a, err := s.call(ctx, fmt.Sprintf("%s?after=%s&max=%d", headersPath, formatHashes(locator), max), s.limits.headerBytes)
	if err != nil {
		return nil, err
	}
	reader, err := newHeaderReader(bufio.NewReaderSize(a, 64<<10), max)
	if err != nil {
		a.Close()
		return nil, s.failed(ctx, err)
	}
	return &headerStream{reader, a}, nil
}

type headerStream struct {
	*headerReader
	*answer
}

// blocks asks for blocks. The caller reads them in this order and closes the
// answer.
func (s *source) blocks(ctx context.Context, hashes []types.Hash) (*answer, error) {
	return s.call(ctx, blocksPath+"?hash="+formatHashes(hashes), s.limits.blockBytes)
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
