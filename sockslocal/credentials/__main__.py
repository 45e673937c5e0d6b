"""The child that `sockslocal.credentials.process` starts."""

from sockslocal.credentials.child import main

main()
