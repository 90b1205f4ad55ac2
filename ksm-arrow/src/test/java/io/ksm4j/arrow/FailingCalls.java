// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.arrow;

import io.ksm4j.jnr.JnrBackendProvider;
import io.ksm4j.spi.KsmBackend;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import org.jspecify.annotations.Nullable;

/** A backend that works until a call is made to fail. */
final class FailingCalls {

    private static final int EINVAL = 22;

    private final KsmBackend working = new JnrBackendProvider().open();
    private volatile String failing = "";

    KsmBackend backend() {
        return (KsmBackend) Proxy.newProxyInstance(
                KsmBackend.class.getClassLoader(),
                new Class<?>[] {KsmBackend.class},
                (proxy, method, arguments) -> call(method, arguments));
    }

    private @Nullable Object call(Method method, Object[] arguments) throws Throwable {
        if (method.getName().equals(failing)) {
            return method.getReturnType() == long.class ? (Object) (long) -EINVAL : (Object) (-EINVAL);
        }
        try {
            return method.invoke(working, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    /** Makes all calls of a method fail, or none with the empty name. */
    void fail(String method) {
        failing = method;
    }
}
