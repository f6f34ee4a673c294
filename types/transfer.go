package types

import "encoding/binary"

const (
	transferVersion = 2
	// MinTransferSize is the length in bytes of a transfer with empty sender,
	// recipient and memo. It is above 64, so that no transaction can pose as
	// an inner node of the Merkle tree (BIP 54).
	MinTransferSize = 4 + 1 + 1 + 8 + 8 + 4 + 8 + 1 + SignatureSize
	// SignatureSize is the length of an Ed25519 signature in bytes.
	SignatureSize = 64
)

// Account is the bytes that name an account: on networks with signatures a
// 32-byte Ed25519 public key, on others a plain name. Its text for people
// depends on the network and is written by consensus.Rules.
type Account string

// System stands for the network itself, which pays rewards. It is never a
// sender, a recipient, the recipient of a reward, nor given an allocation.
const System Account = "0"

// Transfer moves an amount from one account to another and pays a fee. It has
// no nonce: salt and expiry make it unique, so that transfers of one account
// never wait for one another.
type Transfer struct {
	Sender    Account
	Recipient Account
	Amount    uint64 // base units
	Fee       uint64 // base units, to whoever mines it
	Expiry    uint32 // height of the last block that may hold it
	Salt      uint64 // random; unique for the sender within the lifetime
	Memo      string // any bytes, at most 255
	Signature [SignatureSize]byte
}

// ID returns the hash of the encoding, signature included.
func (t *Transfer) ID() Hash {
	var buf [512]byte
	return Sum(t.Append(buf[:0]))
}

// Size returns the length of the encoding in bytes.
func (t *Transfer) Size() int {
	return MinTransferSize + len(t.Sender) + len(t.Recipient) + len(t.Memo)
}

// Append appends the encoding to b.
func (t *Transfer) Append(b []byte) []byte {
	return append(t.AppendUnsigned(b), t.Signature[:]...)
}

// AppendUnsigned appends the encoding up to the signature: what is signed, after
// the domain that consensus puts in front.
func (t *Transfer) AppendUnsigned(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, transferVersion)
	b = AppendStr(b, t.Sender)
	b = AppendStr(b, t.Recipient)
	b = binary.LittleEndian.AppendUint64(b, t.Amount)
	b = binary.LittleEndian.AppendUint64(b, t.Fee)
	b = binary.LittleEndian.AppendUint32(b, t.Expiry)
	b = binary.LittleEndian.AppendUint64(b, t.Salt)
	return AppendStr(b, t.Memo)
}

// DecodeTransfer reads one transfer that fills b; otherwise ErrMalformed.
func DecodeTransfer(b []byte) (Transfer, error) {
	d := decoder{b: b}
	var t Transfer
	d.transfer(&t)
	return t, d.end()
}

func (d *decoder) transfer(t *Transfer) {
	if v := d.u32(); v != transferVersion {
		d.fail("a transfer has version %d, not %d", transferVersion, v)
	}
	t.Sender = Account(d.str())
	t.Recipient = Account(d.str())
	if fixed := d.take(8 + 8 + 4 + 8); fixed != nil {
		t.Amount = binary.LittleEndian.Uint64(fixed)
		t.Fee = binary.LittleEndian.Uint64(fixed[8:])
		t.Expiry = binary.LittleEndian.Uint32(fixed[16:])
		t.Salt = binary.LittleEndian.Uint64(fixed[20:])
	}
	t.Memo = d.str()
	if signature := d.take(SignatureSize); signature != nil {
		t.Signature = [SignatureSize]byte(signature)
	}
}
