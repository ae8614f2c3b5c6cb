import { Get, SetMetadata } from '@nestjs/common';
import { AnsweredBy } from './door-mark.js';
import { ADMIN_UI } from './http.tokens.js';

/** Where Nest plans the admin UI; everything below that path goes to its door. `@nestjs/swagger` is told to leave out what is a page. */
@SetMetadata('swagger/apiExcludeController', [true])
export class AdminUiController {
  @Get()
  @AnsweredBy(ADMIN_UI)
  page(): void {
    // The door answers.
  }
}
