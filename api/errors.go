package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"

	"cairn/api/client"
	"cairn/chain"
	"cairn/consensus"
	"cairn/internal/jsonobject"
	"cairn/mempool"
	"cairn/miner"
	"cairn/store"
	"cairn/syncer"
)

// retryAfter is how many seconds a client is asked to wait when the pool is full
// or the node is about to stop.
const retryAfter = 10

// Errors of a request itself.
var (
	errPanic     = errors.New("a fault in the program")
	errBodySize  = refuse(http.StatusRequestEntityTooLarge, "the body is longer than the %d bytes that are read; a transfer or an address needs far less", maxBody)
	errNoSuchURL = errors.New("no such path")
)

// refuse makes the error that is answered with a status and a detail.
func refuse(status int, format string, args ...any) *client.Problem {
	return client.NewProblem(status, fmt.Sprintf(format, args...))
}

// notAllowed is a refusal that says which methods are allowed.
type notAllowed struct {
	*client.Problem
	methods string
}

// Unwrap returns the refusal.
func (e notAllowed) Unwrap() error { return e.Problem }

// problemOf decides what is answered for an error: the one place where the
// errors of all packages below meet HTTP. The detail is the error's own text,
// which says what was wrong, and here what would be right.
func problemOf(err error) *client.Problem {
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	var refused *client.Problem
	switch {
	case errors.As(err, &refused):
		return refused

	case is(jsonobject.ErrDuplicate):
		return refuse(http.StatusBadRequest, "%v; each key may be there once", err)
	case is(jsonobject.ErrSyntax):
		return refuse(http.StatusBadRequest, "the body is %v", err)

	case is(consensus.ErrInsufficient):
		return refuse(http.StatusConflict, "%v; send less, or wait until the sender has received more", err)
	case is(consensus.ErrBalanceLimit):
		return refuse(http.StatusConflict, "%v; send less", err)
	case is(consensus.ErrMinBalance):
		return refuse(http.StatusConflict, "%v; send another amount, or all of it", err)
	case is(consensus.ErrReplay, consensus.ErrDuplicateSalt):
		return refuse(http.StatusConflict, "%v; another transfer needs another salt", err)
	case is(mempool.ErrConflict):
		return refuse(http.StatusConflict, "%v; to replace it pay a higher fee, in all and for each byte; for another transfer use another salt", err)
	case is(miner.ErrNoRecipient):
		return refuse(http.StatusConflict, "%v; start the node with --reward-to ACCOUNT", err)

	case is(consensus.ErrExpired, consensus.ErrExpiryTooFar):
		return refuse(http.StatusUnprocessableEntity, "expiry: %v; leave it out where nothing is signed, or see the height at /v1/status", err)
	case is(consensus.ErrSmallOrder):
		return refuse(http.StatusUnprocessableEntity, "%v; name another account", err)
	case is(consensus.ErrSignature):
		return refuse(http.StatusUnprocessableEntity, "signature: %v; sign exactly these values for this network with the sender's key", err)
	case is(consensus.ErrUnexpectedSignature):
		return refuse(http.StatusUnprocessableEntity, "signature: %v; leave it out", err)
	case is(consensus.ErrSystemAccount):
		return refuse(http.StatusUnprocessableEntity, "%v, which neither sends nor receives transfers; name another account", err)
	case is(consensus.ErrAccountText, consensus.ErrAccount, consensus.ErrAmountText,
		consensus.ErrAmount, consensus.ErrFee, consensus.ErrSum):
		return refuse(http.StatusUnprocessableEntity, "%v", err)

	case is(syncer.ErrAddress):
		return refuse(http.StatusUnprocessableEntity, "address: %v", err)
	case is(syncer.ErrTooMany):
		return refuse(http.StatusConflict, "%v", err)

	case is(mempool.ErrFull):
		return refuse(http.StatusServiceUnavailable, "%v; pay a higher fee or try again later", err)
	case is(chain.ErrClosed, context.Canceled, context.DeadlineExceeded):
		return refuse(http.StatusServiceUnavailable, "the node is stopping; try again when it runs")
	case is(store.ErrFailed):
		return refuse(http.StatusServiceUnavailable, "the node can no longer write to its disk and is stopping")

	case is(errNoSuchURL):
		return refuse(http.StatusNotFound, "%v; the paths are listed at /", err)
	}
	return refuse(http.StatusInternalServerError, "something failed inside this node; its log says what")
}

// writeProblem answers with what problemOf makes of err. Failures of our own are
// logged, because their answer says nothing.
func (s *server) writeProblem(w *response, r *http.Request, err error) {
	p := problemOf(err)
	if p.Status == http.StatusInternalServerError {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	header := w.Header()
	header.Set("Content-Type", client.ProblemType)
	var auth challenge
	if errors.As(err, &auth) {
		header.Set("WWW-Authenticate", auth.authenticate)
	}
	var method notAllowed
	if errors.As(err, &method) {
		header.Set("Allow", method.methods)
	}
	if p.Status == http.StatusServiceUnavailable {
		header.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and a number always marshal
		panic(err)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // a client that left needs no answer
}

// bodyError says why a body could not be read.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errBodySize
	}
	return refuse(http.StatusBadRequest, "the body did not arrive whole: %v", err)
}

// quote shows what a client sent, in quotes and cut to a length that fits into a
// sentence.
func quote(s string) string {
	const most = 60
	if len(s) <= most {
		return strconv.Quote(s)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}
