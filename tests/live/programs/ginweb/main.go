// SPDX-License-Identifier: Apache-2.0

// A gin application, with middleware, a recovery and a group of routes. Prints its address, ends at the end of its input.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
)

func main() {
	gin.SetMode(gin.ReleaseMode)
	gin.DefaultWriter, gin.DefaultErrorWriter = io.Discard, io.Discard
	r := gin.New()
	r.Use(gin.Recovery(), func(c *gin.Context) { c.Next() })
	api := r.Group("/api")
	api.GET("/users/:id", func(c *gin.Context) { c.String(200, c.Param("id")) })
	api.POST("/users", func(c *gin.Context) { c.Status(http.StatusCreated) })
	api.GET("/panic", func(c *gin.Context) { panic("recovered") })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(l, r)
	fmt.Println(l.Addr())
	io.Copy(io.Discard, os.Stdin)
}
