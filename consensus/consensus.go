// Package consensus is what every node of a network must agree on: the network's
// rules and its first block, the difficulty, and whether a header, a body, a
// signature and a change of balances are valid. docs/protocol.md says the same in
// words, and each rule has its named error here.
//
// It is arithmetic. There is no clock, logger, goroutine, file or database, and
// no order of a map reaches a result: the time is an argument, a header is judged
// by the State of its parent, and balances come in as a supplement and go out as
// changes. Whoever calls keeps the chain; so the same function judges a block
// from a peer, a transfer for the pool and a template for a miner.
package consensus
