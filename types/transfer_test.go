package types

import (
	"bytes"
	"errors"
	"testing"
)

func decodeTransfer(b []byte) error { _, err := DecodeTransfer(b); return err }

func TestTransferVectors(t *testing.T) {
	v := readVectors(t)
	for i, c := range v.Transfers {
		tr := v.transfer(i)
		if got := tr.Append([]byte{7}); !bytes.Equal(got[1:], c.Encoding) || got[0] != 7 {
			t.Errorf("transfer %d encodes to\n%x, want\n%x", i, got[1:], []byte(c.Encoding))
		}
		if got := tr.AppendUnsigned(nil); !bytes.Equal(got, c.Encoding[:len(c.Encoding)-SignatureSize]) {
			t.Errorf("transfer %d without its signature encodes to\n%x", i, got)
		}
		if tr.Size() != len(c.Encoding) {
			t.Errorf("transfer %d has size %d, want %d", i, tr.Size(), len(c.Encoding))
		}
		if tr.ID() != c.ID {
			t.Errorf("transfer %d has the id %v, want %v", i, tr.ID(), c.ID)
		}
		if got, err := DecodeTransfer(c.Encoding); err != nil || got != tr {
			t.Errorf("transfer %d decodes to %+v, %v", i, got, err)
		}
		checkTruncated(t, c.Encoding, decodeTransfer)
		checkChangedBits(t, c.Encoding, func(b []byte) ([]byte, error) {
			tr, err := DecodeTransfer(b)
			return tr.Append(nil), err
		}, func(offset int) bool { return offset < 4 })
	}
}

func TestTransferVersion(t *testing.T) {
	good := readVectors(t).Transfers[0].Encoding
	for _, version := range []byte{0, 1, 3, 0xff} {
		b := bytes.Clone(good)
		b[0] = version
		if err := decodeTransfer(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("version %d: error %v, want ErrMalformed", version, err)
		}
	}
}

// No transaction may be as short as an inner node of the Merkle tree.
func TestTransactionsAreLongerThanMerkleNodes(t *testing.T) {
	if size := len((&Transfer{}).Append(nil)); size != MinTransferSize || size <= 64 {
		t.Errorf("the shortest transfer has %d bytes; MinTransferSize is %d", size, MinTransferSize)
	}
	if size := len((&Reward{}).Append(nil)); size <= 64 {
		t.Errorf("the shortest reward has %d bytes", size)
	}
}

// Hashing is done for every transaction of every block.
func TestIDsDoNotAllocate(t *testing.T) {
	v := readVectors(t)
	tr, r, h := v.transfer(2), v.reward(1), v.header(0)
	for name, f := range map[string]func(){
		"Transfer.ID": func() { tr.ID() },
		"Reward.ID":   func() { r.ID() },
		"Header.Hash": func() { h.Hash() },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func FuzzDecodeTransfer(f *testing.F) {
	for _, c := range readVectors(f).Transfers {
		f.Add([]byte(c.Encoding))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tr, err := DecodeTransfer(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v, want ErrMalformed", err)
			}
			return
		}
		if again := tr.Append(nil); !bytes.Equal(again, data) {
			t.Errorf("%x encodes to %x", data, again)
		}
		if tr.Size() != len(data) {
			t.Errorf("Size is %d, want %d", tr.Size(), len(data))
		}
		if tr.ID() != Sum(data) {
			t.Error("ID is not the hash of the encoding")
		}
	})
}
