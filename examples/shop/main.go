// SPDX-License-Identifier: Apache-2.0

// Shop serves 23 customers, and refuses those who want more than they can pay. docs/verbs.md shows it through each verb.
package main

import (
	"fmt"
	"time"
)

type Item struct {
	Name  string
	Count int
}

type Order struct {
	Customer string
	Items    []Item
	Cents    int // what the customer has
}

type shelf struct {
	name        string
	cents       int
	left, right *shelf
}

var shelves = &shelf{"milk", 119, &shelf{"bread", 349, nil, &shelf{"cheese", 499, nil, nil}}, &shelf{"tea", 251, nil, nil}}

// find calls itself until it has found the name.
//
//go:noinline
func (s *shelf) find(name string) *shelf {
	switch {
	case name < s.name:
		return s.left.find(name)
	case name > s.name:
		return s.right.find(name)
	}
	return s
}

// tax is so small that the compiler copies it into its callers.
func tax(cents int) int { return cents * 7 / 100 }

//go:noinline
func price(item Item) int {
	cents := shelves.find(item.Name).cents * item.Count
	return cents + tax(cents)
}

//go:noinline
func pay(o *Order, cents int) (change int, err error) {
	time.Sleep(time.Duration(cents) * time.Microsecond)
	if cents > o.Cents {
		return 0, fmt.Errorf("%s is %d short", o.Customer, cents-o.Cents)
	}
	return o.Cents - cents, nil
}

//go:noinline
func serve(o *Order) (err error) {
	sum := 0
	for _, item := range o.Items {
		sum += price(item)
	}
	_, err = pay(o, sum)
	return err
}

func main() {
	goods := []string{"tea", "milk", "bread", "cheese"}
	refused := 0
	for i := 0; i < 23; i++ {
		o := &Order{Customer: fmt.Sprintf("customer %d", i), Cents: 1500}
		for k := 0; k <= i%3; k++ {
			o.Items = append(o.Items, Item{goods[(i+k)%len(goods)], 1 + k})
		}
		if err := serve(o); err != nil {
			refused++
		}
	}
	fmt.Println("served 23, refused", refused)
}
