# Answers its version.
require "webrick"

VERSION = "1.0"

server = WEBrick::HTTPServer.new(Port: Integer(ENV.fetch("PORT")), AccessLog: [])
server.mount_proc("/") do |request, response|
  raise WEBrick::HTTPStatus::NotFound unless request.path == "/"

  response.body = "Hello from version #{VERSION}\n"
end
server.mount_proc("/health") { |_, response| response.body = "fine\n" }
trap("TERM") { server.shutdown } # ends when what has begun is answered
server.start
