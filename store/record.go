package store

import (
	"errors"
	"fmt"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/types"
)

// Status says what this node knows of a block.
type Status uint8

const (
	// HaveBody: the block's body is stored.
	HaveBody Status = 1 << iota
	// Applied: the block was fully validated once, by being applied to its parent.
	Applied
	// Invalid: the block, or one before it on its branch, breaks a rule.
	Invalid

	allStatus = HaveBody | Applied | Invalid
)

// Loc is where a transfer is on the best chain.
type Loc struct {
	Height   uint32
	Position uint32 // index in the block's Transfers
}

// TransferRecord is what the index of transfers holds for an id.
type TransferRecord struct {
	Loc
	Answered uint32 // block index of the first answer to its sender here; 0 if none was given
}

// Undo is what takes a block back without inverse logic: the balances that it
// changed, and the entries of earlier, expired transfers that its own replaced
// in the index of salts.
type Undo struct {
	Changes []consensus.Change
	Salts   []OverwrittenSalt
}

// OverwrittenSalt is an entry of the index of salts as it was before a block.
type OverwrittenSalt struct {
	Sender types.Account
	Salt   uint64
	Loc    Loc
}

// Mention says where in the best chain's block at a height an account is named.
type Mention struct {
	Height    uint32
	Positions []uint32 // of transfers, ascending; consensus.RewardPosition for the reward
}

// PendingRecord is a transfer that waits to be mined.
type PendingRecord struct {
	Seq      uint64 // order of arrival
	Answered uint32 // block index of the first answer
	Transfer types.Transfer
}

// Token is an API token without its secret.
type Token struct {
	Name    string
	Scope   uint8    // what it allows, by the API's numbers: 1 to 3
	Created uint64   // Unix seconds
	Sum     [32]byte // SHA-256 of the secret
}

// PeerRecord is what is remembered of a node on the peer-to-peer network: how to reach
// it, or that it is not to be talked to.
type PeerRecord struct {
	ID        string   // libp2p's peer ID, binary, 1 to 64 bytes
	Banned    uint64   // until, Unix seconds; 0: not
	Reason    string   // at most 255 bytes
	Addresses []string // binary multiaddrs, each of 1 to 255 bytes, at most 255
}

// StateRecord is what is stored of a block under its hash.
type StateRecord struct {
	consensus.State
	Status Status
}

// AccountBalance is an account that exists, and its balance in base units.
type AccountBalance struct {
	Account types.Account
	Balance int64
}

// Record is a key and its value as they are stored. The methods decode the two
// together, and each is for one prefix: they return ErrDamaged, with the key and
// the reason, where key or value are not what was ever written under it.
type Record struct {
	Key, Value []byte
}

// String names the record by its key, for people: "balance of account key …".
func (r Record) String() string {
	if len(r.Key) == 0 {
		return "empty key"
	}
	k := reader{b: r.Key[1:]}
	name := ""
	switch r.Key[0] {
	case PrefixState:
		name = fmt.Sprintf("state of block %s", k.hash())
	case PrefixBlock, PrefixHeader, PrefixUndo:
		what := map[byte]string{PrefixBlock: "body", PrefixHeader: "header", PrefixUndo: "undo record"}[r.Key[0]]
		height := k.bigU32()
		name = fmt.Sprintf("%s of block %d, %s", what, height, k.hash())
	case PrefixBest:
		name = fmt.Sprintf("best chain's block %d", k.bigU32())
	case PrefixRoot:
		name = fmt.Sprintf("root of balances after block %d", k.bigU32())
	case PrefixHistory:
		level := k.u8()
		name = fmt.Sprintf("history node %d of level %d", k.bigU32(), level)
	case PrefixAccount:
		name = fmt.Sprintf("account with key %x", k.take(len(accounts.Key{})))
	case PrefixSalt:
		sender := k.account()
		name = fmt.Sprintf("salt %d of sender %q", k.bigU64(), sender)
	case PrefixTransfer:
		name = fmt.Sprintf("location of transfer %s", k.hash())
	case PrefixMention:
		key := k.take(len(accounts.Key{}))
		name = fmt.Sprintf("mention of account key %x in block %d", key, k.bigU32())
	case PrefixPending:
		name = fmt.Sprintf("pending transfer %d", k.bigU64())
	case PrefixNeighbour:
		return fmt.Sprintf("neighbour %q", r.Key[1:])
	case PrefixToken:
		return fmt.Sprintf("token %q", r.Key[1:])
	case PrefixPeer:
		return fmt.Sprintf("peer %x", r.Key[1:])
	case PrefixGeneral:
		return fmt.Sprintf("record %q", r.Key[1:])
	}
	if name == "" || k.end() != nil {
		return fmt.Sprintf("unknown key %x", r.Key)
	}
	return name
}

// State decodes a record of PrefixState.
func (r Record) State() (StateRecord, error) {
	s, err := decodeState(r.Value)
	if err == nil && string(r.Key[1:]) != string(s.Hash[:]) {
		err = fmt.Errorf("it is of block %s", s.Hash)
	}
	return s, r.damaged(err)
}

// BlockName decodes the key of PrefixBlock, PrefixHeader or PrefixUndo: the
// block's height and hash.
func (r Record) BlockName() (height uint32, hash types.Hash, err error) {
	k := reader{b: r.Key[1:]}
	height, hash = k.bigU32(), k.hash()
	return height, hash, r.damaged(k.end())
}

// Block decodes the value of PrefixBlock.
func (r Record) Block() (*types.Block, error) {
	block, err := types.DecodeBlock(r.Value)
	return block, r.damaged(err)
}

// Header decodes the value of PrefixHeader.
func (r Record) Header() (types.Header, error) {
	h, err := types.DecodeHeader(r.Value)
	return h, r.damaged(err)
}

// Undo decodes the value of PrefixUndo.
func (r Record) Undo() (Undo, error) {
	u, err := decodeUndo(r.Value)
	return u, r.damaged(err)
}

// Best decodes a record of PrefixBest.
func (r Record) Best() (height uint32, hash types.Hash, err error) {
	k := reader{b: r.Key[1:]}
	height = k.bigU32()
	hash, err = decodeHash(r.Value)
	return height, hash, r.damaged(errors.Join(k.end(), err))
}

// Root decodes a record of PrefixRoot.
func (r Record) Root() (height uint32, root [32]byte, err error) {
	k := reader{b: r.Key[1:]}
	height = k.bigU32()
	root, err = decodeHash(r.Value)
	return height, root, r.damaged(errors.Join(k.end(), err))
}

// HistoryNode decodes a record of PrefixHistory.
func (r Record) HistoryNode() (history.Node, error) {
	k := reader{b: r.Key[1:]}
	n := history.Node{Level: k.u8(), Index: k.bigU32()}
	sum, err := decodeHash(r.Value)
	n.Sum = sum
	return n, r.damaged(errors.Join(k.end(), err))
}

// Account decodes a record of PrefixAccount and checks that key and account
// belong together.
func (r Record) Account() (AccountBalance, error) {
	balance, account, err := decodeAccount(r.Value)
	a := AccountBalance{types.Account(account), balance}
	if key := accounts.KeyOf(a.Account); err == nil && string(r.Key[1:]) != string(key[:]) {
		err = fmt.Errorf("its key is not that of its account %q", account)
	}
	return a, r.damaged(err)
}

// leaf decodes a record of PrefixAccount without hashing the account.
func (r Record) leaf() (accounts.Leaf, error) {
	balance, _, err := decodeAccount(r.Value)
	var leaf accounts.Leaf
	if n := copy(leaf.Key[:], r.Key[1:]); err == nil && (n < len(leaf.Key) || len(r.Key) > 1+n) {
		err = errors.New("its key has the wrong length")
	}
	leaf.Balance = balance
	return leaf, r.damaged(err)
}

// Salt decodes a record of PrefixSalt.
func (r Record) Salt() (sender types.Account, salt uint64, loc Loc, err error) {
	k := reader{b: r.Key[1:]}
	sender, salt = k.account(), k.bigU64()
	loc, err = decodeLoc(r.Value)
	return sender, salt, loc, r.damaged(errors.Join(k.end(), err))
}

// Transfer decodes a record of PrefixTransfer.
func (r Record) Transfer() (id types.Hash, t TransferRecord, err error) {
	k := reader{b: r.Key[1:]}
	id = k.hash()
	t, err = decodeTransferRecord(r.Value)
	return id, t, r.damaged(errors.Join(k.end(), err))
}

// Mention decodes a record of PrefixMention, with the key of its account.
func (r Record) Mention() (key accounts.Key, m Mention, err error) {
	k := reader{b: r.Key[1:]}
	copy(key[:], k.take(len(key)))
	m.Height = k.bigU32()
	m.Positions, err = decodePositions(r.Value)
	return key, m, r.damaged(errors.Join(k.end(), err))
}

// Pending decodes a record of PrefixPending.
func (r Record) Pending() (PendingRecord, error) {
	k := reader{b: r.Key[1:]}
	seq := k.bigU64()
	p, err := decodePending(r.Value)
	p.Seq = seq
	return p, r.damaged(errors.Join(k.end(), err))
}

// Neighbour decodes a record of PrefixNeighbour.
func (r Record) Neighbour() (url string, err error) {
	if len(r.Value) > 0 {
		err = errors.New("its value is not empty")
	}
	return string(r.Key[1:]), r.damaged(err)
}

// Token decodes a record of PrefixToken.
func (r Record) Token() (Token, error) {
	t, err := decodeToken(r.Value)
	t.Name = string(r.Key[1:])
	return t, r.damaged(err)
}

// Peer decodes a record of PrefixPeer.
func (r Record) Peer() (PeerRecord, error) {
	p, err := decodePeer(r.Value)
	p.ID = string(r.Key[1:])
	if err == nil && (len(p.ID) < 1 || len(p.ID) > 64) {
		err = fmt.Errorf("a peer's ID has 1 to 64 bytes, not %d", len(p.ID))
	}
	return p, r.damaged(err)
}

// seed decodes a value that is the seed of a key.
func (r Record) seed() (seed [32]byte, err error) {
	if copy(seed[:], r.Value) != len(seed) || len(r.Value) != len(seed) {
		err = fmt.Errorf("a seed has %d bytes, not %d", len(seed), len(r.Value))
	}
	return seed, r.damaged(err)
}

// hash decodes a value that is one hash.
func (r Record) hash() (types.Hash, error) {
	h, err := decodeHash(r.Value)
	return h, r.damaged(err)
}

func (r Record) hashes() ([]types.Hash, error) {
	hashes, err := decodeHashes(r.Value)
	return hashes, r.damaged(err)
}

func (r Record) loc() (Loc, error) {
	loc, err := decodeLoc(r.Value)
	return loc, r.damaged(err)
}

func (r Record) transfer() (TransferRecord, error) {
	t, err := decodeTransferRecord(r.Value)
	return t, r.damaged(err)
}

func (r Record) rules() (*consensus.Rules, error) {
	rules, err := consensus.ParseGenesis(r.Value)
	return rules, r.damaged(err)
}

func (r Record) nodeID() (string, error) {
	id, err := decodeNodeID(r.Value)
	return id, r.damaged(err)
}

// General checks a record of PrefixGeneral.
func (r Record) General() (err error) {
	switch string(r.Key) {
	case genesisKey:
		_, err = r.rules()
	case nodeKey:
		_, err = r.nodeID()
	case peerSeed:
		_, err = r.seed()
	case tipKey:
		_, err = r.hash()
	case goalKey:
		_, err = r.hashes()
	default:
		err = r.damaged(errors.New("no such record was ever written"))
	}
	return err
}

// damaged adds to a decoder's error what is broken.
func (r Record) damaged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s (key %x): %w", ErrDamaged, r, r.Key, err)
}
