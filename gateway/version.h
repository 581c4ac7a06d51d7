/* gateway/version.h: the version, in one place. */
#ifndef GATEWAY_VERSION_H
#define GATEWAY_VERSION_H

#define SALLYPORT_VERSION "0.1.0"

#endif
