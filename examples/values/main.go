// SPDX-License-Identifier: Apache-2.0

// Values calls one function with a struct, a map and a float, which returns an error: what the README shows.
package main

import (
	"errors"
	"fmt"
	"time"
)

type Item struct {
	Name  string
	Count int
}

type Order struct {
	ID    int
	Items []Item
	Wait  time.Duration
}

var errSoldOut = errors.New("sold out")

//go:noinline
func ship(o *Order, stock map[string]int, weight float64) (left int, err error) {
	for _, item := range o.Items {
		left = stock[item.Name] - item.Count
		if left < 0 || weight > 20 {
			return left, fmt.Errorf("order %d: %s: %w", o.ID, item.Name, errSoldOut)
		}
	}
	return left, nil
}

func main() {
	stock := map[string]int{"tea": 3, "cups": 12}
	order := &Order{ID: 7, Items: []Item{{"cups", 2}, {"tea", 4}}, Wait: 90 * time.Minute}
	left, err := ship(order, stock, 2.5)
	fmt.Println("ship:", left, err)
}
