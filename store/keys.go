package store

import (
	"encoding/binary"

	"cairn/accounts"
	"cairn/types"
)

// Every key begins with one of these bytes. Numbers in keys are big-endian, so
// that they sort as numbers; numbers in values are little-endian, as in
// docs/protocol.md, whose `str` is one length byte and then that many bytes.
//
// Chain data: follows from the blocks alone, so that two nodes at the same tip
// hold the same best chain, history, accounts, salts and transfer locations.
// Only which side branches are remembered differs from node to node.
//
//	key                                value
//	s  hash 32                         consensus state, status u8
//	b  height u32, hash 32             the block's encoding
//	h  height u32, hash 32             the block's header, the first 80 bytes of that
//	u  height u32, hash 32             undo record, below
//	c  height u32                      hash 32 of the best chain's block
//	r  height u32                      root 32 of the balances after the best
//	                                   chain's block; not of genesis
//	m  level u8, index u32             sum 32 of a history node
//	a  SHA-256(account) 32             balance i64, account (the rest)
//	x  sender str, salt u64            location, below
//	t  transfer id 32                  location, answered u32
//	l  SHA-256(account) 32, height u32 position u32 of each transfer of the best
//	                                   chain's block that names the account, and
//	                                   ffffffff for the reward
//
// A state's key has no height because blocks are asked for by hash. Bodies,
// headers and undo records begin with the height, so that they are written in
// ascending order and compactions move whole files. Headers stand by themselves
// as well because neighbours ask for very many at a time.
//
// Local data: what this node was told or has promised, and where it stands.
//
//	p  sequence u64                    answered u32, the transfer's encoding
//	n  neighbour's URL                 nothing
//	k  name of an API token            scope u8, created u64, SHA-256 of the token 32
//	q  peer's ID                       banned u64, reason str, count u8, each an
//	                                   address str; below
//	g  "genesis"                       genesis file, JSON
//	g  "node"                          this node's id, 32 hex digits
//	g  "peer"                          seed 32 of this node's key among peers
//	g  "tip"                           hash 32 of the best chain's last block
//	g  "goal"                          hash 32 each of the blocks on the way
//	                                   to a tip that is being reorganised to
//
// An undo record is a count of changes, each `account str, before i64, after
// i64`; then a count of overwritten salts, each `sender str, salt u64,
// location`. A location is `height u32, position u32`, the position counting the
// block's transfers from 0. Answered is the block index of the first answer to
// whoever submitted the transfer here, 0 if nobody did. A peer is banned until a
// time in Unix seconds, 0 where it is not; its addresses are binary multiaddrs.
const (
	PrefixState     byte = 's'
	PrefixBlock     byte = 'b'
	PrefixHeader    byte = 'h'
	PrefixUndo      byte = 'u'
	PrefixBest      byte = 'c'
	PrefixRoot      byte = 'r'
	PrefixHistory   byte = 'm'
	PrefixAccount   byte = 'a'
	PrefixSalt      byte = 'x'
	PrefixTransfer  byte = 't'
	PrefixMention   byte = 'l'
	PrefixPending   byte = 'p'
	PrefixNeighbour byte = 'n'
	PrefixToken     byte = 'k'
	PrefixPeer      byte = 'q'
	PrefixGeneral   byte = 'g'
)

const (
	genesisKey = "ggenesis"
	nodeKey    = "gnode"
	peerSeed   = "gpeer"
	tipKey     = "gtip"
	goalKey    = "ggoal"
)

// keyRoom is room for every key but that of a long URL or name.
const keyRoom = 80

func newKey() []byte { return make([]byte, 0, keyRoom) }

func stateKey(b []byte, hash types.Hash) []byte {
	return append(append(b, PrefixState), hash[:]...)
}

// blockKey makes a key of PrefixBlock, PrefixHeader or PrefixUndo.
func blockKey(b []byte, prefix byte, height uint32, hash types.Hash) []byte {
	b = binary.BigEndian.AppendUint32(append(b, prefix), height)
	return append(b, hash[:]...)
}

func bestKey(b []byte, height uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, PrefixBest), height)
}

func rootKey(b []byte, height uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, PrefixRoot), height)
}

func historyKey(b []byte, level uint8, index uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, PrefixHistory, level), index)
}

func accountKey(b []byte, key accounts.Key) []byte {
	return append(append(b, PrefixAccount), key[:]...)
}

func saltKey(b []byte, sender types.Account, salt uint64) []byte {
	return binary.BigEndian.AppendUint64(types.AppendStr(append(b, PrefixSalt), sender), salt)
}

func transferKey(b []byte, id types.Hash) []byte {
	return append(append(b, PrefixTransfer), id[:]...)
}

func mentionKey(b []byte, key accounts.Key, height uint32) []byte {
	return binary.BigEndian.AppendUint32(append(append(b, PrefixMention), key[:]...), height)
}

func pendingKey(b []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, PrefixPending), seq)
}

func tokenKey(b []byte, name string) []byte { return append(append(b, PrefixToken), name...) }

func peerKey(b []byte, id string) []byte { return append(append(b, PrefixPeer), id...) }

func neighbourKey(b []byte, url string) []byte {
	return append(append(b, PrefixNeighbour), url...)
}
