// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.agent.isolated;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;

/** Permission to call native functions without a warning. */
final class NativeAccess {

    private NativeAccess() {}

    /**
     * Enables native access for this module. There is no supported way for agents: {@code Enable-Native-Access} in the
     * manifest applies only to programs, and the caller of {@code ModuleLayer.Controller.enableNativeAccess} must
     * already have native access. So this calls an internal method of the JDK, whose name has not changed from Java 17
     * to 25. If it changes, the JVM prints one warning, and everything still works.
     */
    static void grant() {
        try {
            MethodHandles.privateLookupIn(Module.class, MethodHandles.lookup())
                    .findVirtual(Module.class, "implAddEnableNativeAccess", MethodType.methodType(Module.class))
                    .invoke(NativeAccess.class.getModule());
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable t) {
            System.getLogger("io.ksm4j").log(System.Logger.Level.DEBUG, "the JVM will warn about native access", t);
        }
    }
}
