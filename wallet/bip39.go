package wallet

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	_ "embed" // for the list of words
	"slices"
	"strings"
	"sync"
)

// BIP 39 is written out here since the Go libraries of it make maps of their lists,
// of every language, whenever a program starts: a tenth of what a node's start
// takes, though most nodes never see a word.

// englishText is BIP 39's English list as it is published, which is in order.
//
//go:embed english.txt
var englishText string

// english returns the 2048 words of the list.
var english = sync.OnceValue(func() []string { return strings.Fields(englishText) })

// wordBits is how many bits a word of the list stands for.
const wordBits = 11

// mnemonic returns the words of 16, 20, 24, 28 or 32 bytes: of their bits, and of as
// many of their hash as there are groups of four bytes.
func mnemonic(entropy []byte) string {
	sum := sha256.Sum256(entropy)
	bits := append(slices.Clip(entropy), sum[0])
	chosen := make([]string, len(entropy)/4*3)
	for i := range chosen {
		index := 0
		for at := i * wordBits; at < (i+1)*wordBits; at++ {
			index = index<<1 | int(bits[at/8]>>(7-at%8)&1)
		}
		chosen[i] = english()[index]
	}
	return strings.Join(chosen, " ")
}

// checksumFits tells whether words of the list are what mnemonic makes of their
// entropy.
func checksumFits(list []string) bool {
	bits := make([]byte, len(list)/3*4+1) // with the checksum
	for i, word := range list {
		index, _ := slices.BinarySearch(english(), word)
		for bit := range wordBits {
			at := i*wordBits + bit
			bits[at/8] |= byte(index>>(wordBits-1-bit)&1) << (7 - at%8)
		}
	}
	return mnemonic(bits[:len(bits)-1]) == strings.Join(list, " ")
}

// seedOf returns the 64 bytes that all keys of a mnemonic are derived from.
func seedOf(text, passphrase string) []byte {
	const rounds, size = 2048, 64
	seed, err := pbkdf2.Key(sha512.New, text, []byte("mnemonic"+passphrase), rounds, size)
	if err != nil { // only where FIPS 140 forbids what BIP 39 asks for
		panic(err)
	}
	return seed
}
