package client

import "net/http"

// Rule names what a refused request broke. It is an error: errors.Is(err,
// client.ErrInsufficient) tells whether a call failed for that reason. The names never
// change; new ones may come.
type Rule string

// The rules, by what a client can do about them.
const (
	// The request itself.
	ErrSyntax           Rule = "syntax"
	ErrDuplicateKey     Rule = "duplicate-key"
	ErrInvalidValue     Rule = "invalid-value"
	ErrNotFound         Rule = "not-found"
	ErrMethodNotAllowed Rule = "method-not-allowed"
	ErrBodyTooLarge     Rule = "body-too-large"
	ErrContentType      Rule = "content-type"

	// Who may ask.
	ErrHost          Rule = "host"
	ErrCrossSite     Rule = "cross-site"
	ErrUnauthorised  Rule = "unauthorised"
	ErrForbidden     Rule = "forbidden"
	ErrRateLimited   Rule = "rate-limited"
	ErrKeyNotHeld    Rule = "key-not-held"
	ErrKeyReused     Rule = "idempotency-key-reused"
	ErrNameTaken     Rule = "name-taken"
	ErrAddressFaulty Rule = "neighbour-address"
	ErrTooMany       Rule = "too-many"

	// The peer-to-peer network.
	ErrPeersOff        Rule = "p2p-off"
	ErrPeerAddress     Rule = "peer-address"
	ErrPeerUnreachable Rule = "peer-unreachable"

	// A transfer by itself.
	ErrAccount             Rule = "account"
	ErrSystemAccount       Rule = "system-account"
	ErrSmallOrder          Rule = "small-order"
	ErrAmount              Rule = "amount"
	ErrSignature           Rule = "signature"
	ErrUnexpectedSignature Rule = "unexpected-signature"

	// A transfer on this chain at this time.
	ErrExpired      Rule = "expired"
	ErrExpiryTooFar Rule = "expiry-too-far"
	ErrInsufficient Rule = "insufficient"
	ErrBalanceLimit Rule = "balance-limit"
	ErrMinBalance   Rule = "min-balance"
	ErrReplay       Rule = "replay"

	// A transfer in the pool.
	ErrConflict     Rule = "conflict"
	ErrFeeTooLow    Rule = "fee-too-low"
	ErrAccountLimit Rule = "account-limit"
	ErrPoolFull     Rule = "pool-full"
	ErrEvicted      Rule = "evicted"
	ErrReplaced     Rule = "replaced"
	ErrUncovered    Rule = "uncovered"
	ErrOtherMined   Rule = "other-mined"
	ErrMined        Rule = "mined"

	// The node.
	ErrNoRecipient Rule = "no-recipient"
	ErrTooFresh    Rule = "too-fresh"
	ErrTooLong     Rule = "too-long"
	ErrStopping    Rule = "stopping"
	ErrInternal    Rule = "internal"
)

// ruleInfo is what is fixed for a rule.
type ruleInfo struct {
	status int
	title  string
}

var rules = map[Rule]ruleInfo{
	ErrSyntax:           {http.StatusBadRequest, "The request is not well formed"},
	ErrDuplicateKey:     {http.StatusBadRequest, "A key is there twice"},
	ErrInvalidValue:     {http.StatusUnprocessableEntity, "A value is missing or is not what is needed"},
	ErrNotFound:         {http.StatusNotFound, "There is no such thing here"},
	ErrMethodNotAllowed: {http.StatusMethodNotAllowed, "The path does not answer to this method"},
	ErrBodyTooLarge:     {http.StatusRequestEntityTooLarge, "The body is too long"},
	ErrContentType:      {http.StatusUnsupportedMediaType, "The body has a type that is not read here"},

	ErrHost:          {http.StatusMisdirectedRequest, "The node does not answer to this host"},
	ErrCrossSite:     {http.StatusForbidden, "A web page of another site may not do this"},
	ErrUnauthorised:  {http.StatusUnauthorized, "A token is needed"},
	ErrForbidden:     {http.StatusForbidden, "The token does not allow this"},
	ErrRateLimited:   {http.StatusTooManyRequests, "Too many requests from one address"},
	ErrKeyNotHeld:    {http.StatusConflict, "The node does not hold the sender's key"},
	ErrKeyReused:     {http.StatusUnprocessableEntity, "The Idempotency-Key was used for another transfer"},
	ErrNameTaken:     {http.StatusConflict, "There is one of that name"},
	ErrAddressFaulty: {http.StatusUnprocessableEntity, "Not the address of a neighbour"},
	ErrTooMany:       {http.StatusConflict, "There are as many as there may be"},

	ErrPeersOff:        {http.StatusConflict, "The node takes no part in the peer-to-peer network"},
	ErrPeerAddress:     {http.StatusUnprocessableEntity, "Not the address of a peer"},
	ErrPeerUnreachable: {http.StatusBadGateway, "The peer cannot be reached"},

	ErrAccount:             {http.StatusUnprocessableEntity, "Not an account of this network"},
	ErrSystemAccount:       {http.StatusUnprocessableEntity, "The account stands for the system"},
	ErrSmallOrder:          {http.StatusUnprocessableEntity, "The account is a key that anyone could sign with"},
	ErrAmount:              {http.StatusUnprocessableEntity, "Not an amount of this network"},
	ErrSignature:           {http.StatusUnprocessableEntity, "The signature is not the sender's for this transfer"},
	ErrUnexpectedSignature: {http.StatusUnprocessableEntity, "There is a signature on a network without them"},

	ErrExpired:      {http.StatusUnprocessableEntity, "The transfer has expired"},
	ErrExpiryTooFar: {http.StatusUnprocessableEntity, "The expiry is too far ahead"},
	ErrInsufficient: {http.StatusConflict, "The sender cannot pay for the transfer"},
	ErrBalanceLimit: {http.StatusConflict, "The recipient would hold too much"},
	ErrMinBalance:   {http.StatusConflict, "An account would keep less than the network allows"},
	ErrReplay:       {http.StatusConflict, "The sender has used the salt"},

	ErrConflict:     {http.StatusConflict, "Another pending transfer has this sender and salt"},
	ErrFeeTooLow:    {http.StatusConflict, "The fee is below the least that this node asks for"},
	ErrAccountLimit: {http.StatusConflict, "Too many transfers of the sender are pending"},
	ErrPoolFull:     {http.StatusServiceUnavailable, "The pool is full of transfers that pay better"},
	ErrEvicted:      {http.StatusConflict, "Transfers that pay better took its place in the full pool"},
	ErrReplaced:     {http.StatusConflict, "Another transfer with the same sender and salt replaced it"},
	ErrUncovered:    {http.StatusConflict, "Its sender can no longer pay for it"},
	ErrMined:        {http.StatusConflict, "A block holds it already"},
	ErrOtherMined:   {http.StatusConflict, "Another transfer with the same sender and salt was mined"},

	ErrNoRecipient: {http.StatusConflict, "Nobody would be paid for the block"},
	ErrTooLong:     {http.StatusConflict, "The chain is too long for what was asked"},
	ErrTooFresh:    {http.StatusConflict, "No block is on it yet"},
	ErrStopping:    {http.StatusServiceUnavailable, "The node is stopping"},
	ErrInternal:    {http.StatusInternalServerError, "A fault of the node itself"},
}

// Rules returns all rules, in no order.
func Rules() []Rule {
	var all []Rule
	for r := range rules {
		all = append(all, r)
	}
	return all
}

// Error returns the rule in words.
func (r Rule) Error() string { return r.Title() }

// Title returns the rule in words; its name where this client does not know it.
func (r Rule) Title() string {
	if info, ok := rules[r]; ok {
		return info.title
	}
	return string(r)
}

// Status returns the HTTP status of an answer that names the rule; 0 where this
// client does not know it.
func (r Rule) Status() int { return rules[r].status }
