package types

// The functions of this file read one value at the front of b and return what
// follows it too, for formats that have a value of this package among others.
// Their error is ErrMalformed.

// CutCount reads what AppendCount writes.
func CutCount(b []byte) (n uint64, rest []byte, err error) {
	d := decoder{b: b}
	n = d.count()
	return n, d.b, d.err
}

// CutTransfer reads what Transfer.Append writes.
func CutTransfer(b []byte) (t Transfer, rest []byte, err error) {
	d := decoder{b: b}
	d.transfer(&t)
	return t, d.b, d.err
}

// CutReward reads what Reward.Append writes.
func CutReward(b []byte) (r Reward, rest []byte, err error) {
	d := decoder{b: b}
	d.reward(&r)
	return r, d.b, d.err
}
