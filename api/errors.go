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
	"cairn/p2p"
	"cairn/store"
	"cairn/syncer"
	"cairn/types"
)

// waitFor returns how many seconds a client is asked to wait before it asks again;
// 0 where that would not help.
func waitFor(p *client.Problem) int {
	switch p.Status {
	case http.StatusServiceUnavailable: // the pool is full, or the node is about to stop
		return 10
	case http.StatusTooManyRequests:
		return 1
	}
	return 0
}

// Errors of a request itself.
var (
	errPanic     = errors.New("a fault in the program")
	errBodySize  = refuse(client.ErrBodyTooLarge, "the body is longer than the %d bytes that are read; a transfer or an address needs far less", maxBody)
	errNoSuchURL = errors.New("no such path")
)

// refuse makes the error that is answered with a rule, whose status it has, and a
// detail.
func refuse(rule client.Rule, format string, args ...any) *client.Problem {
	return client.NewProblem(rule, fmt.Sprintf(format, args...))
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
		return refuse(client.ErrDuplicateKey, "%v; each key may be there once", err)
	case is(jsonobject.ErrSyntax):
		return refuse(client.ErrSyntax, "the body is %v", err)
	case is(types.ErrMalformed):
		return refuse(client.ErrSyntax, "the body is no transfer: %v (docs/protocol.md, section 4)", err)

	case is(consensus.ErrInsufficient):
		return refuse(client.ErrInsufficient, "%v; send less, or wait until the sender has received more", err)
	case is(consensus.ErrBalanceLimit):
		return refuse(client.ErrBalanceLimit, "%v; send less", err)
	case is(consensus.ErrMinBalance):
		return refuse(client.ErrMinBalance, "%v; send another amount, or all of it", err)
	case is(consensus.ErrReplay, consensus.ErrDuplicateSalt):
		return refuse(client.ErrReplay, "%v; another transfer needs another salt", err)
	case is(mempool.ErrConflict):
		return refuse(client.ErrConflict, "%v; to replace it pay a higher fee, in all and for each byte; for another transfer use another salt", err)
	case is(mempool.ErrFeeTooLow):
		return refuse(client.ErrFeeTooLow, "%v; pay that much, or what /v1/fees proposes", err)
	case is(mempool.ErrAccountLimit):
		return refuse(client.ErrAccountLimit, "%v; wait until some are in blocks", err)
	case is(miner.ErrNoRecipient):
		return refuse(client.ErrNoRecipient, "%v; start the node with --reward-to ACCOUNT", err)

	case is(consensus.ErrExpired):
		return refuse(client.ErrExpired, "expiry: %v; sign it anew with a later expiry, or leave it out where nothing is signed; /v1/status has the height", err)
	case is(consensus.ErrExpiryTooFar):
		return refuse(client.ErrExpiryTooFar, "expiry: %v; leave it out where nothing is signed, or see the height at /v1/status", err)
	case is(consensus.ErrSmallOrder):
		return refuse(client.ErrSmallOrder, "%v; name another account", err)
	case is(consensus.ErrSignature):
		return refuse(client.ErrSignature, "signature: %v; sign exactly these values for this network with the sender's key", err)
	case is(consensus.ErrUnexpectedSignature):
		return refuse(client.ErrUnexpectedSignature, "signature: %v; leave it out", err)
	case is(consensus.ErrSystemAccount):
		return refuse(client.ErrSystemAccount, "%v, which neither sends nor receives transfers; name another account", err)
	case is(consensus.ErrAccountText, consensus.ErrAccount):
		return refuse(client.ErrAccount, "%v", err)
	case is(consensus.ErrAmountText, consensus.ErrAmount, consensus.ErrFee, consensus.ErrSum):
		return refuse(client.ErrAmount, "%v", err)

	case is(chain.ErrEvicted):
		return refuse(client.ErrEvicted, "%v; submit it again when the pool is emptier, or with a higher fee", err)
	case is(chain.ErrReplaced):
		return refuse(client.ErrReplaced, "%v", err)
	case is(chain.ErrUncovered):
		return refuse(client.ErrUncovered, "%v; submit it again when the sender has more", err)
	case is(chain.ErrMined):
		return refuse(client.ErrMined, "%v", err)
	case is(chain.ErrOtherMined):
		return refuse(client.ErrOtherMined, "%v", err)

	case is(syncer.ErrAddress):
		return refuse(client.ErrAddressFaulty, "address: %v", err)
	case is(syncer.ErrTooMany):
		return refuse(client.ErrTooMany, "%v", err)

	case is(p2p.ErrPeerAddress):
		return refuse(client.ErrPeerAddress, "%v", err)
	case is(p2p.ErrUnreachable):
		return refuse(client.ErrPeerUnreachable, "%v; check that it runs, and that a firewall lets its port through", err)

	case is(mempool.ErrFull):
		return refuse(client.ErrPoolFull, "%v; pay a higher fee or try again later", err)
	case is(chain.ErrClosed, context.Canceled, context.DeadlineExceeded):
		return refuse(client.ErrStopping, "the node is stopping; try again when it runs")
	case is(store.ErrFailed):
		return refuse(client.ErrStopping, "the node can no longer write to its disk and is stopping")

	case is(chain.ErrNoBlock):
		return refuse(client.ErrNotFound, "%v", err)
	case is(chain.ErrTooLong):
		return refuse(client.ErrTooLong, "%v; ask with headers=few", err)
	case is(chain.ErrTooFresh):
		return refuse(client.ErrTooFresh, "%v; ask again after the next block", err)
	case is(errNoSuchURL):
		return refuse(client.ErrNotFound, "%v; the paths are listed at / and at /docs", err)
	}
	return refuse(client.ErrInternal, "something failed inside this node; its log says what")
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
	if wait := waitFor(p); wait > 0 {
		header.Set("Retry-After", strconv.Itoa(wait))
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
	return refuse(client.ErrSyntax, "the body did not arrive whole: %v", err)
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
