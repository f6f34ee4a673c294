package store

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"cairn/consensus"
	"cairn/types"
)

const (
	locSize    = 8
	nodeIDSize = 16
	// minChange and minOverwritten are the least bytes that an element of an
	// undo record's two lists can have: they bound what a count can make the
	// decoder allocate.
	minChange      = 1 + 8 + 8
	minOverwritten = 1 + 8 + locSize
)

func appendLoc(b []byte, l Loc) []byte {
	b = binary.LittleEndian.AppendUint32(b, l.Height)
	return binary.LittleEndian.AppendUint32(b, l.Position)
}

func appendTransferRecord(b []byte, r TransferRecord) []byte {
	return binary.LittleEndian.AppendUint32(appendLoc(b, r.Loc), r.Answered)
}

func appendAccount(b []byte, balance int64, account types.Account) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(balance)), account...)
}

func appendPending(b []byte, answered uint32, t *types.Transfer) []byte {
	return t.Append(binary.LittleEndian.AppendUint32(b, answered))
}

func appendState(b []byte, s consensus.State, status Status) []byte {
	state := s.Encode()
	return append(append(b, state[:]...), byte(status))
}

func appendHashes(b []byte, hashes []types.Hash) []byte {
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return b
}

func appendPositions(b []byte, positions []uint32) []byte {
	for _, p := range positions {
		b = binary.LittleEndian.AppendUint32(b, p)
	}
	return b
}

func appendToken(b []byte, t Token) []byte {
	b = binary.LittleEndian.AppendUint64(append(b, t.Scope), t.Created)
	return append(b, t.Sum[:]...)
}

func appendPeer(b []byte, p PeerRecord) []byte {
	b = binary.LittleEndian.AppendUint64(b, p.Banned)
	b = append(types.AppendStr(b, p.Reason), byte(len(p.Addresses)))
	for _, a := range p.Addresses {
		b = types.AppendStr(b, a)
	}
	return b
}

func appendUndo(b []byte, u Undo) []byte {
	b = types.AppendCount(b, uint64(len(u.Changes)))
	for _, c := range u.Changes {
		b = types.AppendStr(b, c.Account)
		b = binary.LittleEndian.AppendUint64(b, uint64(c.Before))
		b = binary.LittleEndian.AppendUint64(b, uint64(c.After))
	}
	b = types.AppendCount(b, uint64(len(u.Salts)))
	for _, s := range u.Salts {
		b = types.AppendStr(b, s.Sender)
		b = binary.LittleEndian.AppendUint64(b, s.Salt)
		b = appendLoc(b, s.Loc)
	}
	return b
}

// reader takes values from the front of b. The first fault sticks and later
// reads return zeros, so that callers check err once.
type reader struct {
	b   []byte
	err error
}

var errShort = errors.New("it ends too early")

func (r *reader) take(n int) []byte {
	if r.err == nil && len(r.b) < n {
		r.err = errShort
	}
	if r.err != nil {
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u8() uint8 {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	if p := r.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if p := r.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (r *reader) bigU32() uint32 {
	if p := r.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (r *reader) bigU64() uint64 {
	if p := r.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

func (r *reader) account() types.Account { return types.Account(r.take(int(r.u8()))) }

func (r *reader) hash() (h types.Hash) {
	copy(h[:], r.take(len(h)))
	return h
}

func (r *reader) loc() Loc { return Loc{Height: r.u32(), Position: r.u32()} }

// count reads a CompactSize in its shortest form and checks that so many
// elements of at least size bytes can follow.
func (r *reader) count(size int) int {
	before := r.b
	n := uint64(r.u8())
	switch n {
	case 0xfd:
		p := r.take(2)
		if p != nil {
			n = uint64(binary.LittleEndian.Uint16(p))
		}
	case 0xfe:
		n = uint64(r.u32())
	case 0xff:
		n = r.u64()
	}
	if r.err == nil && len(types.AppendCount(nil, n)) != len(before)-len(r.b) {
		r.err = fmt.Errorf("its count %d is not in the shortest form", n)
	}
	if r.err == nil && n > uint64(len(r.b)/size) {
		r.err = fmt.Errorf("%d elements cannot fit into %d bytes", n, len(r.b))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// end returns the first fault, or that bytes are left over.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes are left over", len(r.b))
	}
	return r.err
}

func decodeLoc(b []byte) (Loc, error) {
	r := reader{b: b}
	l := r.loc()
	return l, r.end()
}

func decodeTransferRecord(b []byte) (TransferRecord, error) {
	r := reader{b: b}
	t := TransferRecord{Loc: r.loc(), Answered: r.u32()}
	return t, r.end()
}

func decodeHash(b []byte) (types.Hash, error) {
	r := reader{b: b}
	h := r.hash()
	return h, r.end()
}

func decodeHashes(b []byte) ([]types.Hash, error) {
	if len(b)%len(types.Hash{}) != 0 {
		return nil, fmt.Errorf("%d bytes are no list of hashes", len(b))
	}
	r := reader{b: b}
	hashes := make([]types.Hash, 0, len(b)/len(types.Hash{}))
	for len(r.b) > 0 {
		hashes = append(hashes, r.hash())
	}
	return hashes, r.end()
}

// decodePositions reads positions in a block, at least one, ascending.
func decodePositions(b []byte) ([]uint32, error) {
	if len(b) == 0 || len(b)%4 != 0 {
		return nil, fmt.Errorf("%d bytes are no list of positions", len(b))
	}
	r := reader{b: b}
	positions := make([]uint32, len(b)/4)
	for i := range positions {
		positions[i] = r.u32()
		if i > 0 && positions[i] <= positions[i-1] {
			return nil, fmt.Errorf("position %d comes after %d", positions[i], positions[i-1])
		}
	}
	return positions, r.end()
}

func decodeToken(b []byte) (Token, error) {
	r := reader{b: b}
	t := Token{Scope: r.u8(), Created: r.u64(), Sum: r.hash()}
	if r.err == nil && (t.Scope < 1 || t.Scope > 3) {
		return Token{}, fmt.Errorf("a token has no scope %d", t.Scope)
	}
	return t, r.end()
}

func decodePeer(b []byte) (PeerRecord, error) {
	r := reader{b: b}
	p := PeerRecord{Banned: r.u64(), Reason: string(r.account())}
	for range r.u8() {
		p.Addresses = append(p.Addresses, string(r.account()))
	}
	return p, r.end()
}

// decodeAccount reads the value of an account; the account aliases b.
func decodeAccount(b []byte) (balance int64, account []byte, err error) {
	r := reader{b: b}
	balance = int64(r.u64())
	if r.err != nil {
		return 0, nil, r.err
	}
	if balance == 0 {
		return 0, nil, errors.New("an account with balance 0 is not stored")
	}
	if balance > types.MaxAmount || balance < -types.MaxAmount {
		return 0, nil, fmt.Errorf("a balance of %d is out of range", balance)
	}
	if len(r.b) == 0 || len(r.b) > 255 {
		return 0, nil, fmt.Errorf("an account has 1 to 255 bytes, not %d", len(r.b))
	}
	return balance, r.b, nil
}

func decodePending(b []byte) (p PendingRecord, err error) {
	r := reader{b: b}
	p.Answered = r.u32()
	if r.err != nil {
		return p, r.err
	}
	p.Transfer, err = types.DecodeTransfer(r.b)
	return p, err
}

func decodeUndo(b []byte) (Undo, error) {
	r := reader{b: b}
	var u Undo
	if n := r.count(minChange); n > 0 {
		u.Changes = make([]consensus.Change, n)
	}
	for i := range u.Changes {
		u.Changes[i] = consensus.Change{Party: consensus.NewParty(r.account()), Before: int64(r.u64()), After: int64(r.u64())}
	}
	if n := r.count(minOverwritten); n > 0 {
		u.Salts = make([]OverwrittenSalt, n)
	}
	for i := range u.Salts {
		u.Salts[i] = OverwrittenSalt{Sender: r.account(), Salt: r.u64(), Loc: r.loc()}
	}
	if err := r.end(); err != nil {
		return Undo{}, err
	}
	return u, nil
}

func decodeState(b []byte) (s StateRecord, err error) {
	if len(b) == 0 {
		return s, errShort
	}
	last := len(b) - 1
	s.Status = Status(b[last])
	if s.Status&^allStatus != 0 {
		return StateRecord{}, fmt.Errorf("status %#02x has unknown bits", b[last])
	}
	s.State, err = consensus.DecodeState(b[:last])
	return s, err
}

// decodeNodeID reads 32 hex digits, in lower case.
func decodeNodeID(b []byte) (string, error) {
	id, err := hex.DecodeString(string(b))
	if err == nil && (len(id) != nodeIDSize || hex.EncodeToString(id) != string(b)) {
		err = fmt.Errorf("a node's id has %d hex digits in lower case, this is %q", 2*nodeIDSize, b)
	}
	return string(b), err
}
