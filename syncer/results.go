package syncer

import (
	"errors"
	"fmt"
	"strconv"
)

// The words that say what came of a neighbour. They are part of the API: a
// program may compare them. The detail beside them is for people.
const (
	Adopted      = "adopted"       // its chain has become this node's
	Same         = "same"          // it has the chain that this node has
	NotHeavier   = "not-heavier"   // its chain has no more work than this node's, which stays, or than the network's has at least
	Self         = "self"          // it is this node
	Unreachable  = "unreachable"   // it cannot be connected to, or the connection broke
	Slow         = "slow"          // it made no progress for 30 seconds, or took 5 minutes for headers, or showed another chain each time
	Busy         = "busy"          // it says that it has too much to do
	Redirects    = "redirects"     // it points elsewhere; that is not followed
	ClassicOnly  = "classic-only"  // it speaks only the classic calls
	NotANode     = "not-a-node"    // something else answers there
	OtherNetwork = "other-network" // its genesis block is another one
	Lying        = "lying"         // it claims work that its headers do not show
	TooNew       = "too-new"       // its headers are ahead of this node's clock before they show enough work
	Invalid      = "invalid"       // its chain breaks a rule; what comes before may have been adopted
	Malformed    = "malformed"     // its answers are not of the sync format
	Withheld     = "withheld"      // it shows headers and does not have the blocks
)

// NeighbourResult says what came of one neighbour.
type NeighbourResult struct {
	Address string // base URL, as registered or as it was given to SyncWith
	Result  string // one of the words above
	Detail  string // a sentence for people; what came from the neighbour is quoted and cut
}

// Result says what came of asking all neighbours, in the order of Neighbours or
// in that of the addresses that SyncWith was given.
type Result struct {
	Available  bool // some neighbour gave a valid chain, be it lighter
	Replaced   bool // this node's chain changed to a neighbour's
	Neighbours []NeighbourResult
}

// failure is why a neighbour is of no use: one of the words, and a detail.
type failure struct{ word, detail string }

func (f *failure) Error() string { return f.word + ": " + f.detail }

func fail(word, format string, args ...any) *failure {
	return &failure{word, fmt.Sprintf(format, args...)}
}

// wordOf returns the word of a failure, "" for other errors.
func wordOf(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return f.word
	}
	return ""
}

// quote makes text of a neighbour fit for logs and terminals.
func quote(text string) string {
	const most = 200
	if len(text) > most {
		return strconv.QuoteToASCII(text[:most]) + "…"
	}
	return strconv.QuoteToASCII(text)
}
