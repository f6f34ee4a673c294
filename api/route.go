package api

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"cairn/api/client"
)

// stallTime is how long a client may take to accept a piece of an answer, and to
// send the body of its request.
const stallTime = 30 * time.Second

// pieceSize is the most bytes that are written under one deadline.
const pieceSize = 64 << 10

// handler answers a request or returns why it doesn't. An error before the first
// byte of the answer becomes a problem; after that the connection is cut, so
// that half an answer can't be taken for a whole one.
type handler func(w *response, r *http.Request) error

// route is what can be done with one path.
type route struct {
	name    string // in metrics
	method  string
	changes bool         // refused to web pages of other sites; no HEAD
	scope   client.Scope // what a token must allow, where one is needed; "": reading
	serve   handler
}

// methods are the methods that a route answers to.
func (rt *route) methods() string {
	if rt.method == http.MethodGet && !rt.changes {
		return "GET, HEAD"
	}
	return rt.method
}

func (rt *route) checkMethod(r *http.Request) error {
	if r.Method == rt.method || r.Method == http.MethodHead && strings.HasSuffix(rt.methods(), "HEAD") {
		return nil
	}
	return methodError(r, rt.methods())
}

// methodError is the answer to a method that a path does not answer to.
func methodError(r *http.Request, methods string) error {
	return notAllowed{refuse(client.ErrMethodNotAllowed, "%s answers to %s, not to %s", r.URL.Path, methods, quote(r.Method)), methods}
}

// handle makes a plain handler of a route.
func (s *server) handle(rt route) http.Handler {
	return s.wrap(rt.name, func(w *response, r *http.Request) error {
		if err := rt.checkMethod(r); err != nil {
			return err
		}
		if rt.changes {
			if err := s.guard.checkSite(r); err != nil {
				return err
			}
		}
		who, err := s.guard.check(r, cmp.Or(rt.scope, client.ScopeRead))
		if err != nil {
			return err
		}
		w.who = who
		return rt.serve(w, r)
	})
}

// commonHeader is in every answer.
var commonHeader = http.Header{
	"X-Content-Type-Options":       {"nosniff"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Referrer-Policy":              {"same-origin"},
	"Cache-Control":                {"no-store"},
}

// wrap gives every answer what all have in common: the check of the host,
// deadlines, headers, an entry in the metrics, and an answer even where the
// handler fails.
func (s *server) wrap(name string, h handler) http.Handler {
	metrics := s.metrics.of(name)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &response{ResponseWriter: rw, control: http.NewResponseController(rw), stall: s.stall}
		began := time.Now()
		metrics.running.Inc()
		defer func() { metrics.done(w.status, time.Since(began)) }()
		defer s.catch(w, r)

		w.expectBody(r)
		maps.Copy(w.Header(), commonHeader)
		err := s.guard.checkHost(r)
		if err == nil && s.guard.share(w, r) {
			return
		}
		if err == nil {
			err = h(w, r)
		}
		if errors.Is(err, errBodySize) && r.Header.Get("Expect") == "" {
			// Most clients send all of their body before they look for an answer.
			_ = w.control.EnableFullDuplex()
			defer func() { _, _ = io.CopyN(io.Discard, r.Body, maxDiscard) }()
			defer func() { _ = w.control.Flush() }()
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// fail answers with the problem that err is, or cuts the connection where an
// answer has begun.
func (s *server) fail(w *response, r *http.Request, err error) {
	if w.status != 0 {
		s.log.Debug("answer cut off", "path", r.URL.Path, "error", err)
		panic(http.ErrAbortHandler)
	}
	s.writeProblem(w, r, err)
}

// catch turns a panic, which is a fault of this program, into an answer.
func (s *server) catch(w *response, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	s.log.Error("panic while answering", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	s.writeProblem(w, r, errPanic)
}

// response is a ResponseWriter that remembers the status and gives up on a client
// that takes nothing for stall. However long an answer is, a client that
// keeps reading gets all of it.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	status  int // 0: nothing has been written
	who     who
}

// Unwrap lets http.ResponseController find the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the status and passes it on.
func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write passes b on in pieces, each under its own deadline.
func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	written := 0
	for {
		piece := b[written:min(len(b), written+pieceSize)]
		// Fails only for a connection that has no deadlines: one in a test.
		_ = w.control.SetWriteDeadline(time.Now().Add(w.stall))
		n, err := w.ResponseWriter.Write(piece)
		written += n
		if err != nil || written == len(b) {
			return written, err
		}
	}
}

// expectBody gives the body of a request as long to arrive, whether a handler
// reads it or the server throws it away. A request without one must not get a
// deadline: the server waits on its connection to notice that the client left.
func (w *response) expectBody(r *http.Request) {
	if r.ContentLength != 0 {
		_ = w.control.SetReadDeadline(time.Now().Add(w.stall)) // as above
	}
}

// watchClient reads the body of a request that has no use for one: only when it
// has been read does the server notice, and end the request's context, when the
// client leaves.
func watchClient(w *response, r *http.Request) error {
	_, err := readBody(w, r)
	return err
}

// maxDiscard is how much of a body that is too large is taken and thrown away.
const maxDiscard = 32 << 20

// maxBody is the most bytes that a request's body may have.
const maxBody = 64 << 10

func readBody(w *response, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, errBodySize
	}
	limited := http.MaxBytesReader(w, r.Body, maxBody)
	if r.ContentLength > 0 {
		b := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(limited, b); err != nil {
			return nil, bodyError(err)
		}
		return b, nil
	}
	b, err := io.ReadAll(limited)
	if err != nil {
		return nil, bodyError(err)
	}
	return b, nil
}
