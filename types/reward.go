package types

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	rewardVersion = 1
	// MaxRewardSize is the most bytes that an encoded reward may have: small
	// miners keep it in a fixed buffer.
	MaxRewardSize = 255
	// MaxExtra is the most bytes of a reward that are the miner's own.
	MaxExtra = 60

	rewardSequence = 0xffffffff
	pushHeight     = 0x04 // script: push the next 4 bytes
	opReturn       = 0x6a
	push32         = 0x20
)

// ErrRewardPosition says that a block does not have its reward first and only
// there. It is an ErrMalformed too.
var ErrRewardPosition = errors.New("the reward is the first transaction of a block and the only one")

// Reward is the first transaction of a block: what its miner is paid, and the
// commitment to the state after it. It is encoded as a Bitcoin coinbase, because
// that is what mining hardware builds.
type Reward struct {
	Height     uint32
	Extra      []byte // the miner's own, extranonce included; at most MaxExtra bytes
	Amount     uint64 // base units
	Recipient  Account
	Commitment [32]byte // protocol.md, section 5
}

// ID returns the hash of the encoding.
func (r *Reward) ID() Hash {
	var buf [MaxRewardSize]byte
	return Sum(r.Append(buf[:0]))
}

// Size returns the length of the encoding in bytes.
func (r *Reward) Size() int {
	return 4 + 1 + 36 + 1 + 5 + len(r.Extra) + 4 + 1 + 8 + 1 + len(r.Recipient) + 8 + 1 + 34 + 4
}

// Append appends the encoding to b. It panics on more than MaxExtra bytes of the
// miner's own: no decoder would take them, so making such a reward is a bug.
func (r *Reward) Append(b []byte) []byte {
	if len(r.Extra) > MaxExtra {
		panic(fmt.Sprintf("types: a reward with %d bytes of the miner's own; the most is %d", len(r.Extra), MaxExtra))
	}
	b = binary.LittleEndian.AppendUint32(b, rewardVersion)
	b = append(b, 1) // one input, which spends nothing
	b = append(b, nullOutpoint[:]...)
	b = append(b, byte(5+len(r.Extra)), pushHeight)
	b = binary.LittleEndian.AppendUint32(b, r.Height)
	b = append(b, r.Extra...)
	b = binary.LittleEndian.AppendUint32(b, rewardSequence)
	b = append(b, 2) // two outputs
	b = binary.LittleEndian.AppendUint64(b, r.Amount)
	b = AppendStr(b, r.Recipient)
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = append(b, 34, opReturn, push32)
	b = append(b, r.Commitment[:]...)
	return binary.LittleEndian.AppendUint32(b, 0) // lock time
}

// nullOutpoint is a hash of zeros and the index ffffffff.
var nullOutpoint = [36]byte{32: 0xff, 33: 0xff, 34: 0xff, 35: 0xff}

// DecodeReward reads one reward that fills b; otherwise ErrMalformed.
func DecodeReward(b []byte) (Reward, error) {
	d := decoder{b: b}
	var r Reward
	d.reward(&r)
	return r, d.end()
}

func (d *decoder) reward(r *Reward) {
	before := len(d.b)
	d.constant("version", binary.LittleEndian.AppendUint32(nil, rewardVersion))
	d.constant("input count", []byte{1})
	d.constant("outpoint", nullOutpoint[:])
	script := int(d.u8())
	if d.err == nil && (script < 5 || script > 5+MaxExtra) {
		d.fail("a reward's input script has 5 to %d bytes, not %d", 5+MaxExtra, script)
	}
	d.constant("push of the height", []byte{pushHeight})
	r.Height = d.u32()
	if d.err == nil {
		r.Extra = d.take(script - 5)
		if !d.borrow {
			r.Extra = append([]byte{}, r.Extra...)
		}
	}
	d.constant("sequence", []byte{0xff, 0xff, 0xff, 0xff})
	d.constant("output count", []byte{2})
	r.Amount = d.u64()
	recipient := d.u8() // a count; 0xfd and above would be longer than a reward can be
	r.Recipient = Account(d.string(int(recipient)))
	d.constant("amount of the commitment's output", make([]byte, 8))
	d.constant("commitment's script", []byte{34, opReturn, push32})
	copy(r.Commitment[:], d.take(32))
	d.constant("lock time", make([]byte, 4))
	if size := before - len(d.b); d.err == nil && size > MaxRewardSize {
		d.fail("a reward has at most %d bytes, not %d", MaxRewardSize, size)
	}
}

// constant reads bytes that have only one valid value.
func (d *decoder) constant(what string, want []byte) {
	if got := d.take(len(want)); d.err == nil && string(got) != string(want) {
		// A copy, so that what is wanted stays on the stack.
		d.fail("a reward's %s is %x, not %x", what, bytes.Clone(want), got)
	}
}
