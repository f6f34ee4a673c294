// Package types holds the things that travel and are stored: hashes, headers,
// transfers, rewards and blocks, with their binary forms. There are only bytes
// and integers here. How an account or an amount is written for people depends
// on the network, and whether a value is allowed depends on its rules: both are
// the business of package consensus.
//
// Every value has exactly one encoding. Integers are little-endian and of fixed
// width; what a decoder accepts, the encoder turns back into the same bytes; a
// decoder refuses everything else with ErrMalformed. The formats are sections 1,
// 3 and 4 of docs/protocol.md.
package types

// MaxAmount is the most base units that any balance, amount, fee or total issue
// can be: 2^53 - 1, the largest integer that every JSON client keeps exact.
const MaxAmount = 1<<53 - 1
